"""Whole studies in PostgreSQL, started by commands, and the secrecy of the password."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from balpoe.cli.main import cli
from balpoe.errors import UserError
from balpoe.launch.runs import find_study
from balpoe.launch.tracking import choose_store
from tests.launch.faults_study import faults_study
from tests.launch.launched_study import (
    TRIALS,
    assert_complete,
    assert_whole,
    begun,
    holding,
    kill_driver,
    launch,
)
from tests.postgres_server import PostgresServer


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


@pytest.mark.slow
def test_a_study_goes_on_where_the_server_is_restarted_and_leaves_the_password_nowhere(
    home: Path, postgres_server: PostgresServer
) -> None:
    with launch(home, epoch_seconds=0.3) as supervisor:
        begun(home, 1)
        postgres_server.stop()
        time.sleep(1)
        postgres_server.start()
        output, _ = supervisor.communicate(timeout=240)
    assert supervisor.returncode == 0, output
    assert "trying again for 60 seconds" in output
    assert_whole(home)
    spec, directory = find_study("faults", home / "runs")
    for verb in ("status", "export", "sync", "clean"):
        options = ["--keep", "front", "--delete"] if verb == "clean" else []
        result = CliRunner().invoke(cli, [verb, "faults", *options], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        output += result.output
    secret = postgres_server.password
    written = [path for path in home.rglob("*") if path.is_file()]
    assert home / "runs/mlflow.db" in written
    assert [path for path in written if secret.encode() in path.read_bytes()] == []
    assert secret not in output
    assert secret.encode() not in pickle.dumps((spec, directory))
    assert not directory.database.exists()


@pytest.mark.slow
def test_of_two_hosts_that_launch_one_study_at_once_one_runs_it(home: Path) -> None:
    with (
        launch(home, environment={"FAULT_HOST": "node-1"}) as one,
        launch(home, environment={"FAULT_HOST": "node-2"}) as other,
    ):
        said = [driver.communicate(timeout=240)[0] for driver in (one, other)]
        output = dict(zip((one.returncode, other.returncode), said, strict=True))
    assert set(output) == {0, 2}, output
    assert "error: faults: is being run by" in output[2]
    assert_whole(home)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_of_two_hosts_that_launch_one_study_at_random_moments_one_alone_runs_it(
    home: Path, moments: random.Random
) -> None:
    """Twenty times; the driver is killed after the other one has given up."""
    (home / "faults.yaml").write_text(faults_study(TRIALS, "resources: {concurrent_trials: 1}"))
    for _ in range(20):
        with holding(home, 0), launch(home, environment={"FAULT_HOST": "node-1"}) as first:
            time.sleep(moments.uniform(0.0, 4.0))
            with launch(home, environment={"FAULT_HOST": "node-2"}) as second:
                loser, winner = by_their_ends(first, second)
                output, _ = loser.communicate(timeout=10)
                assert loser.returncode == 2, output
                assert "error: faults: is being run by" in output
                kill_driver(winner)
                winner.communicate(timeout=60)
    with launch(home) as last:
        output, _ = last.communicate(timeout=120)
    assert last.returncode == 0, output
    assert_complete(home)


def by_their_ends(*launches: subprocess.Popen[str]) -> list[subprocess.Popen[str]]:
    """Wait until a process has ended; return those that have."""
    deadline = time.monotonic() + 120
    while all(launch.poll() is None for launch in launches):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return sorted(launches, key=lambda launch: launch.poll() is None)


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
    for address in (
        "https://me:hidden@mlflow.example",
        "https://hidden@mlflow.example",
        "postgresql://me:hidden@localhost/db",
        "postgresql://me@localhost/db?password=hidden",
    ):
        with pytest.raises(UserError, match="--tracking-uri: names a password") as caught:
            choose_store(home, address)
        assert "hidden" not in str(caught.value)


def test_a_database_that_does_not_answer_ends_a_launch_with_a_line(
    home: Path, postgres_server: PostgresServer
) -> None:
    postgres_server.stop()
    try:
        with launch(home) as supervisor:
            output, _ = supervisor.communicate(timeout=120)
    finally:
        postgres_server.start()
    assert supervisor.returncode == 2
    assert output.startswith("error: postgresql://balpoe@127.0.0.1")
    assert len(output.splitlines()) == 1


@pytest.mark.slow
def test_a_server_restarted_at_every_point_costs_nothing(
    home: Path, postgres_server: PostgresServer
) -> None:
    halt = home / "halt"
    points = {"planned": "2", "half asked": "3", "asked": "3", "reported": "5", "completed": "2"}
    arguments = [word for point in points.items() for word in point]
    with launch(home, *arguments, environment={"FAULT_HALT": str(halt)}) as supervisor:
        for point in points:
            deadline = time.monotonic() + 120
            while not halt.exists():
                assert time.monotonic() < deadline, f"{point} or one before it never came"
                time.sleep(0.05)
            postgres_server.stop()
            halt.unlink()
            time.sleep(1)
            postgres_server.start()
        output, _ = supervisor.communicate(timeout=240)
    assert supervisor.returncode == 0, output
    assert_whole(home)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_study_survives_twenty_restarts_of_the_server_at_random_times(
    home: Path, postgres_server: PostgresServer, moments: random.Random
) -> None:
    trials, restarts = 40, 20
    (home / "faults.yaml").write_text(faults_study(trials))
    with launch(home, epoch_seconds=0.3) as supervisor:
        begun(home, 1)
        for _ in range(restarts):
            time.sleep(moments.uniform(0.0, 2.0))
            postgres_server.stop()
            time.sleep(moments.uniform(0.0, 1.0))
            postgres_server.start()
        output, _ = supervisor.communicate(timeout=400)
    assert supervisor.returncode == 0, output
    assert_whole(home, trials)
