"""Where the studies of `--runs` are on this host: there, or in copies of an object store."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from balpoe.errors import UserError
from balpoe.study.object_store.remote_directory import SCHEME, RemoteDirectory, endpoint
from balpoe.study.object_store.study_files import create_copies

OPTION, VARIABLE = "--runs", "BALPOE_CACHE"

_DRIVER = ".driver"
_BUCKET_AND_PREFIX = re.compile(r"[^/@:?#\s]+(/[^/@:?#\s]+)*")
_LONGEST_NAME = 40


def is_remote(runs: Path | str) -> bool:
    """Whether `runs` is no directory, but on a store of some kind."""
    return "://" in str(runs)


def local_runs(runs: Path | str) -> Path:
    """`runs` itself; for `s3://BUCKET/PREFIX` the directory of this host's working copies.

    They are below BALPOE_CACHE, by default `balpoe` in the user's cache directory.

    Raises:
        UserError: it is on a store of another kind.
        StorageError: the store cannot be reached, or the working copies cannot be written.
    """
    return _copies(str(runs)) if is_remote(runs) else Path(runs)


def drivers_runs(runs: Path | str) -> Path:
    """As `local_runs`, for the driver: of what it writes it has copies of its own.

    Raises:
        UserError: it is on a store of another kind.
        StorageError: the store cannot be reached, or the working copies cannot be written.
    """
    return _copies(str(runs), _DRIVER) if is_remote(runs) else Path(runs)


def ensure_known_kind(runs: str) -> None:
    """Refuse what is neither a directory nor on S3.

    Raises:
        UserError: the value, and what it may be.
    """
    named = runs.removeprefix(SCHEME).rstrip("/")
    is_there = runs.startswith(SCHEME) and _BUCKET_AND_PREFIX.fullmatch(named)
    if is_remote(runs) and not is_there:
        shown = re.sub("//[^/]*@", "//…@", runs)  # it may be a password
        raise UserError(f"{OPTION}: must be a directory or s3://BUCKET/PREFIX, got {shown!r}")


def _copies(runs: str, whose: str = "") -> Path:
    ensure_known_kind(runs)
    url = runs.rstrip("/")
    store = RemoteDirectory(url)
    store.ensure_reachable()
    copies = _cache() / _name(url) / whose
    create_copies(copies, store)
    return copies


def _name(url: str) -> str:
    """A name that tells users which store it is, and stores at other endpoints apart."""
    digest = hashlib.sha256(f"{endpoint()} {url}".encode()).hexdigest()
    readable = url.removeprefix(SCHEME).replace("/", "_")
    return f"{readable[:_LONGEST_NAME]}-{digest[:8]}"


def _cache() -> Path:
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "balpoe"
