"""Connections to a PostgreSQL server, its advisory locks and its messages."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from balpoe.errors import StorageError, UserError
from balpoe.study.storage.postgres_address import VARIABLE, connect_arguments
from balpoe.study.storage.reconnecting_storage import StorageUnavailable, is_disk_full

if TYPE_CHECKING:
    import psycopg

_HINTS = {
    "password": f"give the password by {VARIABLE}, PGPASSWORD or ~/.pgpass",
    "role": "name a user that the server knows, or create it (createuser)",
    'database "': "create it (createdb), or name another",
    "permission denied": "grant the user CREATE on the database's schema public",
}
_HINT = "check that the server runs and its disk has room, the address and the network"
_HINT_FULL_DISK = "free some space on the disk of the server, or give it a larger one"


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """The database at `address`, which has no password."""

    address: str

    def __str__(self) -> str:
        return self.address

    @contextmanager
    def locked_creation(self) -> Iterator[None]:
        """Enter a block that one process at a time enters, on any host."""
        with self.connection() as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (lock_key("create"),))
            yield

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """Connect for the length of the block; every statement is a transaction.

        Raises:
            StorageError: the connection, or a statement in the block, fails.
        """
        require_driver()
        import psycopg

        try:
            with self.connect() as connection:
                yield connection
        except psycopg.Error as error:
            raise StorageError(self.failure(error)) from error

    def connect(self) -> psycopg.Connection[Any]:
        """Return a connection that the caller closes; every statement is a transaction.

        Raises:
            psycopg.OperationalError: the connection fails.
        """
        require_driver()
        import psycopg

        return psycopg.connect(**connect_arguments(self.address), autocommit=True)

    def failure(self, reason: BaseException) -> str:
        """Return the first line of the server's or libpq's message, and a hint if one is known."""
        if isinstance(reason, StorageUnavailable):
            return f"{reason}; what was recorded so far is kept"
        first, *_ = str(reason).strip().splitlines() or [type(reason).__name__]
        message = first.removeprefix("connection failed: ")
        hint = next((hint for words, hint in _HINTS.items() if words in message), _HINT)
        if is_disk_full(reason):
            hint = _HINT_FULL_DISK
        return f"{self}: {message}; {hint}"


def lock_key(*words: str) -> int:
    """Return the key of the advisory lock that `words` name: 64 bits, signed."""
    digest = sha256("\0".join(("balpoe", *words)).encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def require_driver() -> None:
    """Raise `UserError` if psycopg is not installed."""
    if importlib.util.find_spec("psycopg") is None:
        raise UserError(
            "a storage in PostgreSQL needs psycopg; install it: pip install 'balpoe[postgres]'"
        )
