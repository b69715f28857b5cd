"""The MLflow store of a study and of its final models, and what a study has in it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from balpoe.atomic_write import write_text_atomically
from balpoe.errors import CorruptFile, UserError
from balpoe.exporting.export_files import exporting_study
from balpoe.study.records.trial_summaries import trial_summary
from balpoe.study.storage.postgres_address import SECRETS
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.environment import current_environment, git_commit
from balpoe.study.trials.launch_log import logged_launches
from balpoe.study.trials.record import TrialRecord
from balpoe.tracking import Origin, StudyFileCommit, TrackingStore, local_store, store_at

OPTION, VARIABLE = "--tracking-uri", "MLFLOW_TRACKING_URI"
LOCAL = "local"
"""Stands for `mlflow.db` in the directory `--runs`, which may be moved."""

_SERVER_SCHEMES = ("http", "https")


def tracking_store(directory: StudyDirectory, runs: Path, uri: str | None) -> TrackingStore:
    """Return the MLflow store of the study and save its address with the study.

    Without a `uri` it is the saved address, else MLFLOW_TRACKING_URI, else `mlflow.db` in `runs`.
    The address is saved so that a launch from another shell does not start a second mirror.

    Raises:
        UserError: MLflow has no store of this kind, or the address contains a password.
        StorageError: the directory of the study cannot be written.
    """
    saved = _saved_uri(directory)
    store = choose_store(runs, uri, saved=saved)
    name = LOCAL if store == local_store(runs) else store.tracking_uri
    if name != saved:
        write_text_atomically(directory.tracking_uri, f"{name}\n")
    return store


def saved_store(directory: StudyDirectory, runs: Path) -> TrackingStore:
    """Return the same store as `tracking_store` without a `uri`; nothing is written.

    Raises:
        UserError: MLflow has no store of this kind.
    """
    return choose_store(runs, None, saved=_saved_uri(directory))


def model_store(configuration_file: Path, runs: Path, uri: str | None) -> TrackingStore:
    """Return the MLflow store of models; of an export that is the store of its study.

    Raises:
        UserError: MLflow has no store of this kind, or the address contains a password.
    """
    study = study_exported_from(configuration_file)
    if study is None:
        return choose_store(runs, uri)
    return choose_store(study.path.parent, uri, saved=_saved_uri(study))


def choose_store(runs: Path, uri: str | None, *, saved: str | None = None) -> TrackingStore:
    """Return the store at `uri`, else at `saved`, else of the environment, else in `runs`.

    Raises:
        UserError: MLflow has no store of this kind, or the address contains a password.
    """
    if not uri and saved == LOCAL:
        return local_store(runs)
    places = {OPTION: uri, "the study's tracking_uri": saved, VARIABLE: os.environ.get(VARIABLE)}
    for place, address in places.items():
        if address:
            refuse_credentials(address, place)
            try:
                return store_at(address, runs)
            except ValueError as error:
                raise UserError(f"{place}: {error}") from error
    return local_store(runs)


def refuse_credentials(uri: str, place: str) -> None:
    """Refuse an address with a password, since the address is saved and shown.

    The user name of a server is refused too, because it may be a token.

    Raises:
        UserError: `uri`, which was given as `place`, contains one; the message hides it.
    """
    parts = urlsplit(uri)
    has_user = parts.scheme in _SERVER_SCHEMES and parts.username is not None
    query = parse_qs(parts.query, keep_blank_values=True)
    if has_user or parts.password is not None or any(name in query for name in SECRETS):
        raise UserError(
            f"{place}: names a password, which others could read; remove it, and set "
            f"MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN (for "
            f"a server) or PGPASSWORD (for a database)"
        )


def study_exported_from(configuration_file: Path) -> StudyDirectory | None:
    """Return the study that exported a configuration, or None for other configurations."""
    study = exporting_study(configuration_file)
    return study if study is not None and study.specification.is_file() else None


def current_origin() -> Origin:
    """Return the user and the git commit of this process."""
    environment = current_environment()
    return Origin(environment.user, environment.git_commit)


def study_origin(directory: StudyDirectory, study_file: Path | None = None) -> Origin:
    """Return the origin of a study: of this process, and of the study file of each launch.

    `study_file` is that of a launch that begins now.
    """
    try:
        launches = logged_launches(directory.launches)
    except CorruptFile:
        launches = ()  # the commits are remarks; `balpoe doctor` names damaged files
    files = [StudyFileCommit(launch.started, launch.study_commit) for launch in launches]
    if study_file is not None:
        files.append(StudyFileCommit(time.time(), git_commit(study_file.absolute())))
    return replace(current_origin(), study_files=tuple(files))


def class_counts(directory: StudyDirectory, record: TrialRecord) -> Mapping[str, int] | None:
    """Return the training images of each class of a trial; None without a stored summary."""
    try:
        summary = trial_summary(directory, record)
    except UserError:
        return None  # the record counts; `balpoe doctor` names damaged files
    if summary is None:
        return None
    return dict(zip(summary.class_names, summary.train_counts_c, strict=True))


def _saved_uri(directory: StudyDirectory) -> str | None:
    file = directory.tracking_uri
    return file.read_text().strip() if file.is_file() else None
