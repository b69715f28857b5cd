"""PostgreSQL on a disk that fills up during a study and is freed again."""

from __future__ import annotations

import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from tests.launch.faults_study import faults_study
from tests.launch.launched_study import (
    assert_complete,
    assert_whole,
    begun,
    holding,
    launch,
    recorded,
)
from tests.postgres_server import PostgresServer, postgres_binaries
from tests.small_disk import SmallDisk, small_disk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SEGMENT_MIB, DISK_MIB = 1, 128
TRIALS = 6
# a server without any room does not even take connections, and cannot say why
HINTS = ("No space left on device; free some space on the disk", "and its disk has room")


@pytest.fixture(scope="module")
def disk() -> Iterator[SmallDisk]:
    # other users cannot read the directories of pytest
    with (
        tempfile.TemporaryDirectory(prefix="balpoe-pg-") as directory,
        small_disk(Path(directory), f"{DISK_MIB}m") as disk,
    ):
        yield disk


@pytest.fixture(scope="module")
def server(disk: SmallDisk) -> Iterator[PostgresServer]:
    """A server with its data and write-ahead log on the small disk."""
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    server = PostgresServer(disk.path, binaries, segment_mib=SEGMENT_MIB)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def home(tmp_path: Path, server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's directory with a study file, and its database in the environment."""
    (tmp_path / "faults.yaml").write_text(faults_study(TRIALS))
    database = server.create_database()
    monkeypatch.setenv("BALPOE_STORAGE", server.url(database, password=server.password))
    yield tmp_path
    server.drop_database(database)


def test_a_database_without_room_costs_a_study_nothing_be_it_for_its_trials_or_for_its_log(
    home: Path, disk: SmallDisk, server: PostgresServer
) -> None:
    with launch(home, epoch_seconds=0.5) as supervisor:
        begun(home, 1)
        disk.fill()
        text = output_until("trying again for 60 seconds", supervisor)
        disk.free()
        begun(home, 3)
        disk.fill()
        panic(server)
        disk.free()
        server.stop()
        server.start()
        text += supervisor.communicate(timeout=120)[0]
    assert supervisor.returncode == 0, text
    assert any(hint in text for hint in HINTS)
    assert_whole(home, TRIALS)


def test_a_study_whose_database_stays_without_room_stops_with_a_line_and_continues_later(
    home: Path, disk: SmallDisk, server: PostgresServer
) -> None:
    with launch(home, epoch_seconds=0.3, environment={"FAULT_PATIENCE": "1"}) as supervisor:
        begun(home, 1)
        disk.fill()
        text, _ = supervisor.communicate(timeout=120)
    disk.free()
    assert supervisor.returncode == 2, text
    *_, error = text.splitlines()
    assert error.startswith("error: postgresql://balpoe@127.0.0.1")
    assert any(hint in error for hint in HINTS)
    assert server.password not in text
    assert "Traceback" not in text
    assert "FAIL" not in {record.state for record in recorded(home)}
    with launch(home) as supervisor:
        text, _ = supervisor.communicate(timeout=120)
    assert supervisor.returncode == 0, text
    assert_complete(home, TRIALS)


def test_a_database_without_room_at_random_costs_a_study_nothing(
    home: Path, disk: SmallDisk, server: PostgresServer, moments: random.Random
) -> None:
    trials = 60
    (home / "faults.yaml").write_text(faults_study(trials))
    with launch(home, epoch_seconds=0.5) as supervisor:
        with holding(home, 0):
            begun(home, 1)
            for _ in range(20):
                time.sleep(moments.uniform(0.0, 2.0))
                disk.fill()
                time.sleep(moments.uniform(0.0, 2.0))
                disk.free()
                server.revive()  # without room for its log it ends
        text, _ = supervisor.communicate(timeout=120)
    assert supervisor.returncode == 0, text
    assert_whole(home, trials)


def output_until(words: str, launch: subprocess.Popen[str]) -> str:
    """Return the output of a launch up to the line with `words`."""
    assert launch.stdout is not None
    text = ""
    for line in launch.stdout:
        text += line
        if words in line:
            return text
    raise AssertionError(text)


def panic(server: PostgresServer) -> None:
    """Write to the log until the server shuts down."""
    message = "SELECT pg_logical_emit_message(false, 'balpoe', repeat('x', 100000))"
    with server.connected() as connection, suppress(psycopg.OperationalError):
        for _ in range(DISK_MIB * 10):
            connection.execute(message)
        pytest.fail("the server has room for more than its disk")
    assert connection.broken
