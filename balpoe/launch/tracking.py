"""Which MLflow store mirrors a study."""

from __future__ import annotations

import os
from pathlib import Path

from balpoe.atomic_write import write_text_atomically
from balpoe.errors import UserError
from balpoe.launch.tracking_address import OPTION, VARIABLE, refuse_credentials
from balpoe.study.trials.directory import StudyDirectory
from balpoe.tracking import TrackingStore, local_store, store_at

LOCAL = "local"
"""Stands for `mlflow.db` in the directory of the studies."""


def tracking_store(directory: StudyDirectory, runs: Path, wanted: str | None) -> TrackingStore:
    """The store that was `wanted`, and that later calls without a wish find again.

    Without a wish: the one kept with the study, else that of MLFLOW_TRACKING_URI, else
    `mlflow.db` in `runs`. It is kept with the study, so that another shell does not begin a
    second mirror of it; `mlflow.db` as a word, for `runs` may be moved.

    Raises:
        UserError: MLflow keeps nothing at such an address.
        StorageError: the study's directory cannot be written.
    """
    kept = _kept(directory)
    store = named_store(runs, wanted, kept=kept)
    name = LOCAL if store == local_store(runs) else store.tracking_uri
    if name != kept:
        write_text_atomically(directory.tracking_uri, f"{name}\n")
    return store


def kept_store(directory: StudyDirectory, runs: Path) -> TrackingStore:
    """The store that mirrors the study, as `tracking_store` without a wish; nothing is written.

    Raises:
        UserError: MLflow keeps nothing at such an address.
    """
    return named_store(runs, None, kept=_kept(directory))


def model_store(configuration_file: Path, runs: Path, wanted: str | None) -> TrackingStore:
    """Where the models trained from a configuration are logged: beside its study's trials.

    Raises:
        UserError: MLflow keeps nothing at such an address.
    """
    study = study_exported_from(configuration_file)
    if study is None:
        return named_store(runs, wanted)
    return named_store(study.path.parent, wanted, kept=_kept(study))


def study_exported_from(configuration_file: Path) -> StudyDirectory | None:
    """The study that exported a configuration; None where it comes from elsewhere."""
    exports = configuration_file.resolve().parent
    study = StudyDirectory(exports.parent)
    return study if study.exports == exports and study.specification.is_file() else None


def named_store(runs: Path, wanted: str | None, *, kept: str | None = None) -> TrackingStore:
    """The store that was wanted, else kept, else that of the environment, else the local one.

    Raises:
        UserError: MLflow keeps nothing at such an address, or it names a password.
    """
    if not wanted and kept == LOCAL:
        return local_store(runs)
    places = {OPTION: wanted, "the study's tracking_uri": kept, VARIABLE: os.environ.get(VARIABLE)}
    for place, uri in places.items():
        if uri:
            refuse_credentials(uri, place)
            try:
                return store_at(uri, runs)
            except ValueError as error:
                raise UserError(f"{place}: {error}") from error
    return local_store(runs)


def _kept(directory: StudyDirectory) -> str | None:
    file = directory.tracking_uri
    return file.read_text().strip() if file.is_file() else None
