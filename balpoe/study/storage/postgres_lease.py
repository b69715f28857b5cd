"""The lease of a study in PostgreSQL: an advisory lock that a connection holds.

The server releases the lock when the connection ends. A row of a table describes the holder. After
a lost connection, the row shows whether another driver has held the study since.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import psycopg

from balpoe.errors import StorageError, UserError
from balpoe.study.storage.lease import LeaseHolder, parsed_holder, present_holder, refusal
from balpoe.study.storage.postgres_server import PostgresServer, lock_key
from balpoe.study.storage.reconnecting_storage import StorageUnavailable
from balpoe.study.storage.storage_interface import ConfirmLease

_TABLE = """CREATE TABLE IF NOT EXISTS balpoe_lease
(study text PRIMARY KEY, holder text NOT NULL, backend integer NOT NULL)"""
_WRITE = """INSERT INTO balpoe_lease VALUES (%s, %s, pg_backend_pid())
ON CONFLICT (study) DO UPDATE SET holder = EXCLUDED.holder, backend = EXCLUDED.backend"""
_HOLDER = "SELECT holder, backend FROM balpoe_lease WHERE study = %s"
# a key of 64 bits is shown as two halves
_BACKEND = """SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE datname = current_database() AND locktype = 'advisory' AND granted AND objsubid = 1
AND (classid::bigint << 32 | objid::bigint) = %s"""
# the server learns within a minute that a driver's host is gone
_KEEPALIVES = """SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3"""


@contextmanager
def hold_postgres_lease(server: PostgresServer, study: str) -> Iterator[ConfirmLease]:
    """Hold the lease of `study` for the length of the block; yield what confirms that.

    Raises:
        UserError: another driver holds it.
        StorageError: the database cannot be reached or written.
    """
    with server.locked_creation(), server.connection() as connection:
        connection.execute(_TABLE)
    try:
        lease = _PostgresLease(server, study)
        lease.take()
    except psycopg.Error as error:
        raise StorageError(server.failure(error)) from error
    try:
        yield lease.confirm
    finally:
        lease.release()


def postgres_lease_holder(server: PostgresServer, study: str) -> LeaseHolder | None:
    """Return the holder of the lease; None if there is none or its row is not written.

    Raises:
        StorageError: the database cannot be reached.
    """
    with server.connection() as connection:
        locked = connection.execute(_BACKEND, (lock_key("study", study),)).fetchone()
        row = connection.execute(_HOLDER, (study,)).fetchone() if locked else None
    if not locked or not row or row[1] != locked[0]:
        return None
    return parsed_holder(row[0])


class _PostgresLease:
    """The lease of one study, and the connection that holds it."""

    def __init__(self, server: PostgresServer, study: str) -> None:
        self._server, self._study = server, study
        self._key = lock_key("study", study)
        self._holder = json.dumps(asdict(present_holder()))
        self._connection = server.connect()
        self._backends: set[int] = set()  # that wrote the row, or tried to

    def take(self) -> None:
        """Take the lease; raise UserError if another driver has it."""
        self._connection.execute(_KEEPALIVES)
        if not self._lock():
            held_by, _ = self._row()
            self.release()
            raise UserError(refusal(self._study, held_by))
        self._write()

    def release(self) -> None:
        """Release the lease."""
        self._connection.close()

    def confirm(self) -> None:
        """Return if the lease is held; after a lost connection, take it again.

        Raises:
            StorageUnavailable: the database cannot be reached now.
            UserError: another driver has taken the lease since.
        """
        try:
            self._connection.execute("SELECT 1")
        except psycopg.OperationalError:
            self.release()
            try:
                self._take_again()
            except psycopg.OperationalError as error:
                raise StorageUnavailable(self._server.failure(error)) from error

    def _take_again(self) -> None:
        self._connection = self._server.connect()
        self._connection.execute(_KEEPALIVES)
        is_locked = self._lock()
        held_by, backend = self._row()
        if held_by != self._holder or backend not in self._backends:
            self.release()
            raise UserError(
                f"{self._study}: was taken by {parsed_holder(held_by)} while the connection to "
                f"{self._server} was lost; this launch stops, and what it recorded is kept"
            )
        if is_locked:
            self._write()
            return
        # the server has not detected yet that the previous connection is dead
        self._connection.execute(
            f"SELECT pg_terminate_backend(pid) FROM ({_BACKEND}) AS holding WHERE pid = %s",
            (self._key, backend),
        )
        self.release()
        raise StorageUnavailable(f"{self._server}: the lease is held by a connection that was lost")

    def _lock(self) -> bool:
        row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (self._key,)).fetchone()
        return row is not None and bool(row[0])

    def _row(self) -> tuple[str, int]:
        """Return the description and the backend of the present or the last holder."""
        row = self._connection.execute(_HOLDER, (self._study,)).fetchone()
        return row or ("", 0)

    def _write(self) -> None:
        self._backends.add(self._connection.info.backend_pid)
        self._connection.execute(_WRITE, (self._study, self._holder))
