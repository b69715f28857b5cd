"""The trials of a study in SQLite, in the study's directory: for one host."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import optuna

from balpoe.atomic_write import created_atomically
from balpoe.errors import CorruptFile
from balpoe.file_lock import held_lock
from balpoe.study.storage.lease import LeaseHolder, hold_lease, lease_holder
from balpoe.study.storage.storage_interface import ConfirmLease, StudyStorage, unconfirmed
from balpoe.study.trials.directory import StudyDirectory


@dataclass(frozen=True, slots=True)
class SqliteStorage(StudyStorage):
    """The database in the study's `directory`."""

    directory: StudyDirectory

    def __str__(self) -> str:
        return str(self.directory.database)

    @property
    def is_shared(self) -> bool:
        """False: SQLite is for one host."""
        return False

    @property
    def exists(self) -> bool:
        """Whether the file exists."""
        return self.directory.database.exists()

    @contextmanager
    def locked_creation(self) -> Iterator[None]:
        """Enter a block that one process at a time enters; refuse a damaged file before."""
        with held_lock(self.directory.database_lock):
            self._refuse_damage()
            yield

    def open(self, confirm: ConfirmLease) -> optuna.storages.RDBStorage:
        """Return Optuna's storage; the lease is the kernel's, so `confirm` is not called."""
        database = self.directory.database
        if not self.exists:
            # Optuna cannot open a file with a part of its tables
            with created_atomically(database) as unfinished:
                optuna.storages.RDBStorage(f"sqlite:///{unfinished}").engine.dispose()
        return optuna.storages.RDBStorage(f"sqlite:///{database}")

    @contextmanager
    def hold_lease(self, study: str) -> Iterator[ConfirmLease]:
        """Hold a lock of the kernel, which cannot be lost."""
        with hold_lease(self.directory.lease):
            yield unconfirmed

    def lease_holder(self, study: str) -> LeaseHolder | None:
        """Return the driver that holds the lock of the kernel."""
        return lease_holder(self.directory.lease)

    def failure(self, reason: BaseException) -> str:
        """Return the message for an error, with a hint at the disk and the permissions."""
        return (
            f"{self}: cannot be read or written: {reason}; check the disk's space and the "
            f"permissions; what was recorded so far is kept"
        )

    def _refuse_damage(self) -> None:
        if not self.exists:
            return
        try:
            with closing(sqlite3.connect(self.directory.database)) as connection:
                [verdict] = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            verdict = str(error)
        if verdict != "ok":
            raise CorruptFile(
                f"{self}: damaged ({verdict}); restore it from a backup, or move the study's "
                f"directory away to begin anew"
            )
