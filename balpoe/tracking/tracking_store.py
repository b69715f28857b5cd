"""Where MLflow keeps its runs, and a client for it that is quiet and touches no global URI."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from balpoe.atomic_write import created_atomically, create_directory
from balpoe.file_lock import held_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # a mirror on this machine needs no network
    # The writer waits between attempts itself; MLflow's own seven retries take four minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    # For every run that ends on a server it would print links to stdout, after two more requests.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_SERVERS = ("http", "https")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SQLITE = "sqlite:///"
_CHATTY_LOGGERS = ("mlflow", "alembic", "urllib3.connectionpool")


@dataclass(frozen=True, slots=True)
class TrackingStore:
    """An MLflow store: its tracking URI, and where its artefacts go.

    Without `artifact_root` (a server) the store decides where artefacts go. `schema_lock` is
    held while a database is opened: two processes that create its tables at once break it.
    """

    tracking_uri: str
    artifact_root: Path | None = None
    schema_lock: Path | None = None

    @property
    def exists(self) -> bool:
        """Whether there is something to open: for a SQLite database its file."""
        return not self.tracking_uri.startswith(_SQLITE) or _file_of(self.tracking_uri).is_file()


def local_store(runs: Path) -> TrackingStore:
    """The default store: SQLite in the directory of all studies, `runs`."""
    return store_at(f"{_SQLITE}{runs.resolve() / 'mlflow.db'}", runs)


def store_at(tracking_uri: str, runs: Path) -> TrackingStore:
    """The store with a given tracking URI: an MLflow server, or a database of its own.

    Raises:
        ValueError: MLflow keeps nothing at such an address.
    """
    scheme = tracking_uri.partition("://")[0].partition("+")[0]
    if scheme in _SERVERS:
        return TrackingStore(tracking_uri)
    if scheme not in _DATABASES:
        raise ValueError(f"must begin with http://, https:// or sqlite:///, got {tracking_uri}")
    if scheme != "sqlite":
        return replace(local_store(runs), tracking_uri=tracking_uri)
    file = _file_of(tracking_uri).resolve()
    return TrackingStore(
        tracking_uri=f"{_SQLITE}{file}",
        artifact_root=file.parent / "mlruns",
        schema_lock=file.with_name(f"{file.name}.lock"),
    )


def open_client(store: TrackingStore) -> MlflowClient:
    """Import MLflow and open `store`, creating the tables of a new database.

    Measured on two cores: 3.5 s for the import and 2.6 s for the tables of a new SQLite file.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in _CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    if store.schema_lock is None:
        return MlflowClient(tracking_uri=store.tracking_uri)
    create_directory(store.schema_lock.parent)
    with held_lock(store.schema_lock):
        if not store.exists:
            # MLflow cannot open a file with a part of its tables
            with created_atomically(_file_of(store.tracking_uri)) as unfinished:
                MlflowClient(tracking_uri=f"{_SQLITE}{unfinished}")
        return MlflowClient(tracking_uri=store.tracking_uri)


def _file_of(tracking_uri: str) -> Path:
    return Path(tracking_uri.removeprefix(_SQLITE))
