"""Whole studies in PostgreSQL, as their users start them, and what becomes of the password."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner

from balpoe.cli.main import cli
from balpoe.errors import UserError
from balpoe.launch.doctor import doctor
from balpoe.launch.lookup import study_of
from balpoe.launch.tracking import named_store
from balpoe.study.store import RecordStore
from tests.launch.faults_study import DRIVER, PARENT, faults_study

TRIALS = 4


class PostgresServer(Protocol):
    password: str

    def start(self) -> None: ...
    def stop(self) -> None: ...


@pytest.fixture
def home(
    tmp_path: Path,
    postgres_url: str,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A user's directory with a study file; the database, password and all, in the environment."""
    (tmp_path / "faults.yaml").write_text(faults_study(TRIALS))
    secret = postgres_url.replace("balpoe@", f"balpoe:{postgres_server.password}@")
    monkeypatch.setenv("BALPOE_STORAGE", secret)
    monkeypatch.delenv("PGPASSWORD")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextmanager
def launch(
    home: Path, *fault: str, epoch_seconds: float = 0.1, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    environment["EPOCH_SECONDS"] = str(epoch_seconds)
    with subprocess.Popen(
        [sys.executable, str(PARENT), str(DRIVER), "faults.yaml", *fault],
        cwd=home,
        env={**os.environ, **environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as supervisor:
        try:
            yield supervisor
        finally:
            supervisor.terminate()


def begun(home: Path, trials: int) -> None:
    """Return once so many trials have written metrics."""
    deadline = time.monotonic() + 120
    while len(list(home.glob("runs/faults/trials/*/repeat_0/metrics.parquet"))) < trials:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def assert_whole(home: Path, trials: int = TRIALS) -> None:
    records = RecordStore(*study_of("faults", home / "runs")).records()
    assert [record.state for record in records] == ["COMPLETE"] * trials
    assert [record.identity.attempt for record in records] == [0] * trials
    checks = doctor("faults", runs=home / "runs")
    assert [fault for check in checks for fault in check.faults] == []


@pytest.mark.slow
def test_a_study_goes_on_where_the_server_is_restarted_and_leaves_the_password_nowhere(
    home: Path, postgres_server: PostgresServer
) -> None:
    with launch(home, epoch_seconds=0.3) as supervisor:
        begun(home, 1)
        postgres_server.stop()
        time.sleep(1)
        postgres_server.start()
        told, _ = supervisor.communicate(timeout=240)
    assert supervisor.returncode == 0, told
    assert "trying again for 60 seconds" in told
    assert_whole(home)
    spec, directory = study_of("faults", home / "runs")
    for verb in ("status", "export", "sync", "clean"):
        options = ["--keep", "front", "--delete"] if verb == "clean" else []
        result = CliRunner().invoke(cli, [verb, "faults", *options], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        told += result.output
    secret = postgres_server.password
    written = [path for path in home.rglob("*") if path.is_file()]
    assert home / "runs/mlflow.db" in written
    assert [path for path in written if secret.encode() in path.read_bytes()] == []
    assert secret not in told
    assert secret.encode() not in pickle.dumps((spec, directory))
    assert not directory.database.exists()


@pytest.mark.slow
def test_of_two_hosts_that_launch_one_study_at_once_one_runs_it(home: Path) -> None:
    with launch(home, FAULT_HOST="node-1") as one, launch(home, FAULT_HOST="node-2") as other:
        said = [driver.communicate(timeout=240)[0] for driver in (one, other)]
        told = dict(zip((one.returncode, other.returncode), said, strict=True))
    assert set(told) == {0, 2}, told
    assert "error: faults: is being run by" in told[2]
    assert_whole(home)


def test_a_password_in_an_option_or_for_mlflow_is_refused_without_being_shown(
    home: Path,
) -> None:
    command = [str(Path(sys.executable).parent / "balpoe"), "run", "faults.yaml"]
    secret = "postgresql://me:hidden@localhost/db"
    ended = subprocess.run(
        [*command, "--storage", secret], cwd=home, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: --storage: names a password")
    assert "hidden" not in ended.stderr + ended.stdout
    with pytest.raises(UserError, match="--tracking-uri: names a password") as caught:
        named_store(home, "https://me:hidden@mlflow.example")
    assert "hidden" not in str(caught.value)


def test_a_database_that_does_not_answer_ends_a_launch_with_a_line(
    home: Path, postgres_server: PostgresServer
) -> None:
    postgres_server.stop()
    try:
        with launch(home) as supervisor:
            told, _ = supervisor.communicate(timeout=120)
    finally:
        postgres_server.start()
    assert supervisor.returncode == 2
    assert told.startswith("error: postgresql://balpoe@127.0.0.1")
    assert len(told.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "times"),
    [("planned", 2), ("half asked", 3), ("asked", 2), ("reported", 5), ("told", 2)],
)
def test_a_server_restarted_at_a_point_costs_nothing(
    home: Path, postgres_server: PostgresServer, point: str, times: int
) -> None:
    halt = home / "halt"
    with launch(home, point, str(times), FAULT_HALT=str(halt)) as supervisor:
        deadline = time.monotonic() + 120
        while not halt.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        postgres_server.stop()
        halt.unlink()
        time.sleep(1)
        postgres_server.start()
        told, _ = supervisor.communicate(timeout=240)
    assert supervisor.returncode == 0, told
    assert_whole(home)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_study_survives_twenty_restarts_of_the_server_at_random_times(
    home: Path, postgres_server: PostgresServer
) -> None:
    trials, restarts = 40, 20
    (home / "faults.yaml").write_text(faults_study(trials))
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    with launch(home, epoch_seconds=0.3) as supervisor:
        begun(home, 1)
        for _ in range(restarts):
            time.sleep(moments.uniform(0.0, 2.0))
            postgres_server.stop()
            time.sleep(moments.uniform(0.0, 1.0))
            postgres_server.start()
        told, _ = supervisor.communicate(timeout=400)
    assert supervisor.returncode == 0, told
    assert_whole(home, trials)
