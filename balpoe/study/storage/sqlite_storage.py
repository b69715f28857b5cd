"""A study's trials in SQLite, in the study's directory: for one host."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna

from balpoe.atomic_write import created_atomically
from balpoe.errors import CorruptFile
from balpoe.file_lock import held_lock
from balpoe.study.storage.storage import ConfirmLease, StudyStorage


@dataclass(frozen=True, slots=True)
class SqliteStorage(StudyStorage):
    """The file `database`; `lock` is held by the process that creates it."""

    database: Path
    lock: Path

    def __str__(self) -> str:
        return str(self.database)

    @property
    def is_there(self) -> bool:
        """Whether there is a file."""
        return self.database.exists()

    @contextmanager
    def creating(self) -> Iterator[None]:
        """A block that one process at a time is in; a damaged file is refused before it."""
        with held_lock(self.lock):
            self._refuse_damage()
            yield

    def open(self, confirm: ConfirmLease) -> optuna.storages.RDBStorage:
        """The lease is the kernel's and cannot be lost: there is nothing to confirm."""
        if not self.is_there:
            # Optuna cannot open a file with a part of its tables
            with created_atomically(self.database) as unfinished:
                _storage_in(unfinished).engine.dispose()
        return _storage_in(self.database)

    def failure(self, reason: BaseException) -> str:
        """The disk or the permissions are at fault."""
        return (
            f"{self}: cannot be read or written: {reason}; check the disk's space and the "
            f"permissions; what was recorded so far is kept"
        )

    def _refuse_damage(self) -> None:
        if not self.database.exists():
            return
        try:
            with closing(sqlite3.connect(self.database)) as connection:
                [verdict] = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            verdict = str(error)
        if verdict != "ok":
            raise CorruptFile(
                f"{self}: damaged ({verdict}); restore it from a backup, or move the study's "
                f"directory away to begin anew"
            )


def _storage_in(file: Path) -> optuna.storages.RDBStorage:
    return optuna.storages.RDBStorage(f"sqlite:///{file}")
