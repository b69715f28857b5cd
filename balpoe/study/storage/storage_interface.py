"""The storage of a study's trials: a database for one host, or one that several hosts share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager

import optuna

from balpoe.study.storage.lease import LeaseHolder

ConfirmLease = Callable[[], None]
"""Returns while this process holds the study's lease; raises UserError once another has it."""


def unconfirmed() -> None:
    """Confirm nothing: for readers, and for leases that cannot be lost."""


class StudyStorage(ABC):
    """The storage of one study, and its lease; `str()` is the address, without a password."""

    @abstractmethod
    def __str__(self) -> str: ...

    @property
    @abstractmethod
    def is_shared(self) -> bool:
        """Whether other hosts can use the storage."""

    @property
    @abstractmethod
    def exists(self) -> bool:
        """Whether the storage exists; readers must not create it."""

    @abstractmethod
    def locked_creation(self) -> AbstractContextManager[None]:
        """Return a block that one process at a time enters: Optuna creates its tables in it.

        Raises:
            CorruptFile: the storage is damaged.
            StorageError: the storage cannot be reached or written.
        """

    @abstractmethod
    def open(self, confirm: ConfirmLease) -> optuna.storages.RDBStorage:
        """Return Optuna's storage, which calls `confirm` before each write if a lease can be lost.

        Raises:
            StorageError: the storage has the tables of another version of Optuna.
        """

    @abstractmethod
    def hold_lease(self, study: str) -> AbstractContextManager[ConfirmLease]:
        """Return a block that holds the lease of `study` and yields what confirms that.

        Raises:
            UserError: another driver holds the lease.
            StorageError: the storage cannot be reached or written.
        """

    @abstractmethod
    def lease_holder(self, study: str) -> LeaseHolder | None:
        """Return the driver that runs `study`; None if there is none or it is still unnamed.

        Raises:
            StorageError: the storage cannot be reached.
        """

    @abstractmethod
    def failure(self, reason: BaseException) -> str:
        """Return the message for an error of the database: the place, the reason and a hint."""
