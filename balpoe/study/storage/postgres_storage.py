"""The trials of a study in a PostgreSQL database, for hosts that share a study."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import optuna

from balpoe.errors import StorageError
from balpoe.study.storage.lease import LeaseHolder
from balpoe.study.storage.postgres_address import connect_arguments, optuna_url
from balpoe.study.storage.postgres_server import PostgresServer, require_driver
from balpoe.study.storage.reconnecting_storage import ReconnectingStorage
from balpoe.study.storage.storage_interface import ConfirmLease, StudyStorage


@dataclass(frozen=True, slots=True)
class PostgresStorage(PostgresServer, StudyStorage):
    """The trials in the database at `address`."""

    @property
    def is_shared(self) -> bool:
        """True: hosts connect to the server."""
        return True

    @property
    def exists(self) -> bool:
        """True: opening a database does not create it."""
        return True

    def open(self, confirm: ConfirmLease) -> optuna.storages.RDBStorage:
        """Return a storage that survives the loss of its connection for a minute."""
        engine_kwargs = {
            "pool_pre_ping": True,
            "connect_args": connect_arguments(self.address),
        }
        try:
            return ReconnectingStorage(
                optuna_url(self.address),
                engine_kwargs=engine_kwargs,
                confirm=confirm,
                describe=self.failure,
            )
        except RuntimeError as error:  # another version of Optuna made the tables
            raise StorageError(f"{self}: {error}") from error

    def hold_lease(self, study: str) -> AbstractContextManager[ConfirmLease]:
        """Hold an advisory lock of the server, which is lost with its connection."""
        require_driver()
        from balpoe.study.storage.postgres_lease import hold_postgres_lease

        return hold_postgres_lease(self, study)

    def lease_holder(self, study: str) -> LeaseHolder | None:
        """Return the driver that holds the advisory lock of the server."""
        require_driver()
        from balpoe.study.storage.postgres_lease import postgres_lease_holder

        return postgres_lease_holder(self, study)
