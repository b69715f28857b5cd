"""The MLflow store of a study, and a client that neither prints nor sets a global URI."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from balpoe.atomic_write import create_directory, created_atomically
from balpoe.errors import StorageError
from balpoe.file_lock import held_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # `MirrorWriter` repeats failed requests; MLflow's own seven retries take four minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    # Otherwise MLflow prints links for every run that ends, after two more requests.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_IMPORT = threading.Lock()
_SERVERS = ("http", "https")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SQLITE = "sqlite:///"
_VERBOSE_LOGGERS = ("mlflow", "alembic", "urllib3.connectionpool")


@dataclass(frozen=True, slots=True)
class TrackingStore:
    """An MLflow store: its tracking URI, and the folder of its artefacts.

    Without `artifact_root` the store, a server, decides where artefacts go. `schema_lock` is
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
    """The store with a given tracking URI: an MLflow server or a database.

    Raises:
        ValueError: MLflow has no store of this kind.
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


def import_mlflow() -> None:
    """Import MLflow with its settings; call this before the first import from it.

    Threads that import its modules at the same time see them partially initialised.
    """
    with _IMPORT:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import mlflow  # noqa: F401


def open_client(store: TrackingStore) -> MlflowClient:
    """Import MLflow and open `store`, creating the tables of a new database.

    On two cores the import takes 3.5 s and the tables of a new SQLite file 2.6 s.
    """
    import_mlflow()
    from mlflow import MlflowClient

    for name in _VERBOSE_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    if store.schema_lock is None:
        return MlflowClient(tracking_uri=store.tracking_uri)
    create_directory(store.schema_lock.parent)
    with held_lock(store.schema_lock):
        if not store.exists:
            # MLflow cannot open a file that has some of its tables only.
            with created_atomically(_file_of(store.tracking_uri)) as unfinished:
                MlflowClient(tracking_uri=f"{_SQLITE}{unfinished}")
        return MlflowClient(tracking_uri=store.tracking_uri)


@contextmanager
def storage_errors(store: TrackingStore, problem: str, hint: str) -> Iterator[None]:
    """Raise `StorageError` for any exception of MLflow or its database within the block."""
    import_mlflow()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise StorageError(f"{store.tracking_uri}: {problem}: {error}; {hint}") from error


def _file_of(tracking_uri: str) -> Path:
    return Path(tracking_uri.removeprefix(_SQLITE))
