"""The directory `--runs` on this host, and the studies in it.

For `s3://BUCKET/PREFIX` the directory on this host holds working copies.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from balpoe.config import StudySpec
from balpoe.config.earlier_names import converted_study
from balpoe.errors import UserError
from balpoe.files import load_study
from balpoe.study.object_store.remote_directory import SCHEME, RemoteDirectory, endpoint
from balpoe.study.object_store.study_files import (
    CHECKPOINTS,
    PREDICTIONS,
    StudyFiles,
    create_copies,
    object_store_of,
    study_files,
    study_names,
)
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.earlier_records import has_earlier_names, is_validation_balanced

OPTION, VARIABLE = "--runs", "BALPOE_CACHE"

_DRIVER = ".driver"
_BUCKET_AND_PREFIX = re.compile(r"[^/@:?#\s]+(/[^/@:?#\s]+)*")
_MAX_NAME_LENGTH = 40


def is_remote(runs: Path | str) -> bool:
    """Return whether `runs` is a URL rather than a directory."""
    return "://" in str(runs)


def local_runs(runs: Path | str) -> Path:
    """Return `runs`, or for `s3://BUCKET/PREFIX` the directory of the working copies.

    Working copies are below BALPOE_CACHE, by default `balpoe` in the user's cache directory.

    Raises:
        UserError: `runs` is a URL of another kind.
        StorageError: the store cannot be reached, or the working copies cannot be written.
    """
    return _working_copies(str(runs)) if is_remote(runs) else Path(runs)


def drivers_runs(runs: Path | str) -> Path:
    """Return the same as `local_runs` for a driver, which has working copies of its own.

    Raises:
        UserError: `runs` is a URL of another kind.
        StorageError: the store cannot be reached, or the working copies cannot be written.
    """
    return _working_copies(str(runs), _DRIVER) if is_remote(runs) else Path(runs)


def refuse_unknown_url(runs: str) -> None:
    """Refuse a value that is neither a directory nor an S3 URL.

    Raises:
        UserError: `runs` is a URL of another kind.
    """
    path = runs.removeprefix(SCHEME).rstrip("/")
    is_s3 = runs.startswith(SCHEME) and _BUCKET_AND_PREFIX.fullmatch(path)
    if is_remote(runs) and not is_s3:
        shown = re.sub("//[^/]*@", "//…@", runs)  # may be a password
        raise UserError(f"{OPTION}: must be a directory or s3://BUCKET/PREFIX, got {shown!r}")


def find_study(name: str, runs: Path) -> tuple[StudySpec, StudyDirectory]:
    """Return the study `name` as of its last launch, and its directory.

    Raises:
        UserError: there is no such study.
        StorageError: the study is on an object store that cannot be read.
    """
    directory = StudyDirectory.of(runs, name)
    files = study_files(directory)
    files.refresh(without=(CHECKPOINTS, PREDICTIONS))
    if not directory.specification.is_file():
        names = study_names(runs)
        existing = f"; there are: {', '.join(names)}" if names else ""
        store = object_store_of(runs)
        place = runs if store is None else store.url
        raise UserError(f"{name}: no such study in {place}{existing}")
    _download_labels(files)
    return stored_study(directory), directory


def stored_study(directory: StudyDirectory) -> StudySpec:
    """Return the study as of its last launch, with the present names of its metrics.

    Raises:
        UserError: the study is of an earlier version and names a metric by both of its names.
    """
    spec = load_study(directory.specification)
    keeps_names = not has_earlier_names(directory) or is_validation_balanced(directory)
    return spec if keeps_names else converted_study(spec)


def _download_labels(files: StudyFiles) -> None:
    """Download predictions of an earlier version's study until they show its validation split."""
    if not has_earlier_names(files.directory):
        return
    if is_validation_balanced(files.directory) is None:
        for _ in files.downloads(PREDICTIONS):
            if is_validation_balanced(files.directory) is not None:
                return


def _working_copies(runs: str, subdirectory: str = "") -> Path:
    refuse_unknown_url(runs)
    url = runs.rstrip("/")
    store = RemoteDirectory(url)
    store.ensure_reachable()
    copies = _cache() / _cache_name(url) / subdirectory
    create_copies(copies, store)
    return copies


def _cache_name(url: str) -> str:
    """Return a readable directory name that is unique to the URL and the endpoint."""
    digest = hashlib.sha256(f"{endpoint()} {url}".encode()).hexdigest()
    readable = url.removeprefix(SCHEME).replace("/", "_")
    return f"{readable[:_MAX_NAME_LENGTH]}-{digest[:8]}"


def _cache() -> Path:
    configured = os.environ.get(VARIABLE)
    if configured:
        return Path(configured).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "balpoe"
