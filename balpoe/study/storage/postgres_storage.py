"""A study's trials in a PostgreSQL database, for hosts that share a study."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import optuna

from balpoe.errors import StorageError, UserError
from balpoe.study.storage.postgres_address import VARIABLE, connect_arguments, optuna_url
from balpoe.study.storage.reconnecting import ReconnectingStorage, StorageUnavailable, is_disk_full
from balpoe.study.storage.storage import ConfirmLease, StudyStorage

if TYPE_CHECKING:
    import psycopg

_CURES = {
    "password": f"give the password by {VARIABLE}, PGPASSWORD or ~/.pgpass",
    "role": "name a user that the server knows, or create it (createuser)",
    'database "': "create it (createdb), or name another",
    "permission denied": "grant the user CREATE on the database's schema public",
}
_CURE = "check that the server runs and its disk has room, the address and the network"
_ROOM = "free some space on the disk of the server, or give it a larger one"


@dataclass(frozen=True, slots=True)
class PostgresStorage(StudyStorage):
    """The database at `address`, which has no password."""

    address: str

    def __str__(self) -> str:
        return self.address

    @property
    def is_there(self) -> bool:
        """Always: a database is not created by looking at it."""
        return True

    @contextmanager
    def creating(self) -> Iterator[None]:
        """A block that one process at a time is in, whatever its host."""
        with self.connection() as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (lock_key("create"),))
            yield

    def open(self, confirm: ConfirmLease) -> optuna.storages.RDBStorage:
        """A storage that outlives the loss of its connection for a minute."""
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

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection for the length of the block; every statement is a transaction.

        Raises:
            StorageError: there is none to be had, or a statement in the block fails.
        """
        _ensure_driver()
        import psycopg

        try:
            with self.connect() as connection:
                yield connection
        except psycopg.Error as error:
            raise StorageError(self.failure(error)) from error

    def connect(self) -> psycopg.Connection[Any]:
        """A connection that is the caller's to close; every statement is a transaction.

        Raises:
            psycopg.OperationalError: there is none to be had.
        """
        _ensure_driver()
        import psycopg

        return psycopg.connect(**connect_arguments(self.address), autocommit=True)

    def failure(self, reason: BaseException) -> str:
        """The first line of what the server or libpq says, and the cure as far as it is known."""
        if isinstance(reason, StorageUnavailable):
            return f"{reason}; what was recorded so far is kept"
        first, *_ = str(reason).strip().splitlines() or [type(reason).__name__]
        told = first.removeprefix("connection failed: ")
        cure = next((cure for words, cure in _CURES.items() if words in told), _CURE)
        if is_disk_full(reason):
            cure = _ROOM
        return f"{self}: {told}; {cure}"


def lock_key(*words: str) -> int:
    """The key of an advisory lock for what `words` name: 64 bits, signed."""
    digest = sha256("\0".join(("balpoe", *words)).encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def _ensure_driver() -> None:
    if importlib.util.find_spec("psycopg") is None:
        raise UserError(
            "a storage in PostgreSQL needs psycopg; install it: pip install 'balpoe[postgres]'"
        )
