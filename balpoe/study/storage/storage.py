"""What holds the trials of a study: a database on one host, or one that hosts share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager

import optuna

ConfirmLease = Callable[[], None]
"""Returns where this process still holds the study; raises UserError where another took it."""


def unconfirmed() -> None:
    """Whoever only reads, or whose lease cannot be lost, has nothing to confirm."""


class StudyStorage(ABC):
    """Optuna's storage of one study; `str()` names it without credentials."""

    @abstractmethod
    def __str__(self) -> str: ...

    @property
    @abstractmethod
    def is_there(self) -> bool:
        """Whether it was created; whoever only looks must not create it."""

    @abstractmethod
    def creating(self) -> AbstractContextManager[None]:
        """A block that one process at a time is in: Optuna's creation of its tables is a race.

        Raises:
            CorruptFile: the storage is damaged.
            StorageError: the storage cannot be reached or written.
        """

    @abstractmethod
    def open(self, confirm: ConfirmLease) -> optuna.storages.RDBStorage:
        """Optuna's view of it; `confirm` is asked before anything is written where it must be."""

    @abstractmethod
    def failure(self, reason: BaseException) -> str:
        """What to tell the user of an error of the database: the place, the reason, the cure."""
