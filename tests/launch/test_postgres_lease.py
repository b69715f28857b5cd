"""The lease of a study in PostgreSQL: one driver on any host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from balpoe.errors import StorageError, UserError
from balpoe.study.storage.postgres_storage import PostgresStorage
from balpoe.study.storage.reconnecting_storage import StorageUnavailable, persist
from balpoe.study.storage.storage_record import driver_of, hold_study, record_storage
from balpoe.study.trials.directory import StudyDirectory

HOLDER = """
import socket, sys, time
from pathlib import Path
socket.gethostname = lambda: "node-2"
from balpoe.study.storage.storage_record import hold_study
from balpoe.study.trials.directory import StudyDirectory
with hold_study(StudyDirectory(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


class PostgresServer(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...


@pytest.fixture
def directory(tmp_path: Path, postgres_url: str) -> StudyDirectory:
    directory = StudyDirectory.of(tmp_path, "digits")
    directory.create()
    record_storage(directory, PostgresStorage(postgres_url))
    return directory


@pytest.fixture
def holder(directory: StudyDirectory) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the study and reports another host."""
    command = [sys.executable, "-c", HOLDER, str(directory.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def confirmed(confirm: object) -> None:
    assert callable(confirm)
    persist(lambda again: confirm())


def test_the_second_driver_is_told_who_holds_the_study_and_where(
    directory: StudyDirectory, holder: subprocess.Popen[str]
) -> None:
    refusal = rf"digits: is being run by process {holder.pid} on node-2 since \d{{4}}-.+; wait"
    with pytest.raises(UserError, match=refusal), hold_study(directory):
        pass
    driver = driver_of(directory)
    assert driver is not None
    assert (driver.host, driver.pid, driver.is_here) == ("node-2", holder.pid, False)


def test_the_lease_of_a_killed_driver_is_taken_over(
    directory: StudyDirectory, holder: subprocess.Popen[str]
) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    deadline = time.monotonic() + 10
    while driver_of(directory) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    with hold_study(directory) as confirm:
        confirm()
        driver = driver_of(directory)
        assert driver is not None
        assert driver.pid == os.getpid()
    assert driver_of(directory) is None


def test_a_driver_takes_its_lease_again_after_the_server_was_restarted(
    directory: StudyDirectory, postgres_server: PostgresServer
) -> None:
    with hold_study(directory) as confirm:
        postgres_server.stop()
        try:
            with pytest.raises(StorageUnavailable, match=r"study_\d+: .*refused.*; check that the"):
                confirm()
            with pytest.raises(StorageError, match="refused"):
                driver_of(directory)
        finally:
            postgres_server.start()
        confirmed(confirm)
        with pytest.raises(UserError, match="is being run by"), hold_study(directory):
            pass


def test_a_driver_that_lost_its_lease_to_another_is_told_who_has_had_it(
    directory: StudyDirectory, postgres_server: PostgresServer
) -> None:
    with hold_study(directory) as confirm:
        postgres_server.stop()
        postgres_server.start()
        taken = r"was taken by process .* this launch stops"
        with hold_study(directory), pytest.raises(UserError, match=taken):
            confirm()
        with pytest.raises(UserError, match="was taken by process"):
            confirm()


def test_a_driver_whose_entry_was_made_but_not_answered_still_has_its_lease(
    directory: StudyDirectory, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = psycopg.Connection.execute
    unanswered: list[str] = []

    def cut(connection: psycopg.Connection[Any], query: str, parameters: Any = None) -> object:
        answer = execute(connection, query, parameters)
        if "INSERT" in str(query) and not unanswered:
            unanswered.append(query)
            connection.close()
            raise psycopg.OperationalError("the server was gone before it answered")
        return answer

    with hold_study(directory) as confirm:
        postgres_server.stop()
        postgres_server.start()
        monkeypatch.setattr(psycopg.Connection, "execute", cut)
        with pytest.raises(StorageUnavailable):
            confirm()
        assert len(unanswered) == 1
        confirmed(confirm)


def test_a_connection_that_only_the_driver_knows_to_be_dead_does_not_keep_it_out(
    directory: StudyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[psycopg.Connection[tuple[object, ...]]] = []
    connect = PostgresStorage.connect

    def remembered(storage: PostgresStorage) -> psycopg.Connection[tuple[object, ...]]:
        kept.append(connect(storage))
        return kept[-1]

    monkeypatch.setattr(PostgresStorage, "connect", remembered)
    with hold_study(directory) as confirm:
        lease = kept[-1]
        # packets are dropped: the server keeps the session
        monkeypatch.setattr(psycopg.Connection, "close", lambda connection: None)
        monkeypatch.setattr(lease, "execute", _broken)
        confirmed(confirm)
        assert kept[-1] is not lease
        assert lease.pgconn.socket > 0
    monkeypatch.undo()
    for connection in kept:
        connection.close()


def _broken(statement: str) -> None:
    raise psycopg.OperationalError("the connection is lost")
