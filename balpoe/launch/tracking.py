"""The MLflow store of a study and of its final models."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
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
from balpoe.tracking.tracking_store import storage_errors

OPTION, VARIABLE = "--tracking-uri", "MLFLOW_TRACKING_URI"
LOCAL = "local"
"""Stands for `mlflow.db` in the directory `--runs`, which may be moved."""

_SERVER_SCHEMES = ("http", "https")
_MODELS_EXPERIMENT = "models"


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


def log_models(
    store: TrackingStore,
    configuration_file: Path,
    models: Sequence[Path],
    register: str | None = None,
) -> str | None:
    """Log model directories of one configuration to MLflow, each at most once.

    The experiment is that of the study which exported the configuration, else `models`. With
    `register` each model is a version of the registered model of this name, and the first one is
    its `champion`.

    Returns:
        The reason why MLflow lacks a model, or None if all are logged.
    """
    study = study_exported_from(configuration_file)
    experiment = study.path.name if study else _MODELS_EXPERIMENT
    origin = current_origin()
    try:
        from balpoe.tracking.trained_model import log_trained_model

        for path in models:
            name = f"{configuration_file.stem} {path.name.replace('_', ' ')}"
            log_trained_model(store, path, experiment=experiment, name=name, origin=origin)
        if register is not None:
            from balpoe.tracking.registry import register_models
            from balpoe.training.model_directory import load_model

            identities = [load_model(path).provenance.identity for path in models]
            register_models(store, register, identities)
    except Exception as error:  # stores raise anything; the models are trained and saved
        return f"{type(error).__name__}: {error}"
    return None


def register_evaluated(
    name: str,
    evaluated: Mapping[Path, Mapping[str, float]],
    *,
    runs: Path,
    tracking_uri: str | None = None,
) -> None:
    """Register evaluated models as versions of `name`, and log their metrics to their runs.

    Models that MLflow lacks are logged first. The first model becomes `champion`.

    Args:
        name: The registered model.
        evaluated: The metrics of each model directory, the first seed first.
        runs: The directory of the studies, whose store has the models.
        tracking_uri: Another MLflow store.

    Raises:
        UserError: the name is invalid, or MLflow has no store of this kind.
        StorageError: the store cannot be reached or written.
    """
    refuse_bad_name(name)
    store = choose_store(runs, tracking_uri)
    from balpoe.training.model_directory import load_model  # it imports torch

    identities = {path: load_model(path).provenance.identity for path in evaluated}
    with storage_errors(store, "cannot be written", "start it or check its address"):
        from balpoe.tracking.registry import has_model, log_evaluation, register_models
        from balpoe.tracking.trained_model import log_trained_model

        for path, identity in identities.items():
            if not has_model(store, identity):
                log_trained_model(
                    store,
                    path,
                    experiment=_MODELS_EXPERIMENT,
                    name=f"{path.parent.name} {path.name.replace('_', ' ')}",
                    origin=current_origin(),
                )
            log_evaluation(store, identity, evaluated[path])
        register_models(store, name, list(identities.values()))


def refuse_bad_name(name: str) -> None:
    """Refuse names of registered models that MLflow refuses or its searches misread.

    Raises:
        UserError: the name has other characters than letters, digits, blanks, `.`, `-` and `_`.
    """
    if re.fullmatch(r"[\w.\- ]+", name) is None:
        raise UserError(f"--register: must be letters, digits, '.', '-' or '_', got {name!r}")


def _saved_uri(directory: StudyDirectory) -> str | None:
    file = directory.tracking_uri
    return file.read_text().strip() if file.is_file() else None
