"""Studies stopped by `balpoe stop`, a terminal, SIGTERM and the death of Ray."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient

from balpoe.launch.doctor import doctor
from balpoe.launch.runs import find_study
from balpoe.launch.stop import stop
from balpoe.study.records.ledger import Ledger

pytestmark = pytest.mark.slow

PARENT, DRIVER = (Path(__file__).with_name(name) for name in ("supervised.py", "fault_driver.py"))
SLOW = 60.0


@contextmanager
def running(directory: Path, *, epoch_seconds: float) -> Iterator[subprocess.Popen[str]]:
    """A study of two trials at a time, each of three epochs, in its first epochs."""
    (directory / "faults.yaml").write_text("""
name: faults
data: {name: digits_lt}
model: {backbone: resnet8}
training: {epochs: 3}
search:
  mixup.alpha: {type: float, low: 0.0, high: 1.0}
objectives: {val/accuracy: maximize}
budget: {trials: 4}
""")
    with subprocess.Popen(
        [sys.executable, str(PARENT), str(DRIVER), "faults.yaml"],
        cwd=directory,
        env={
            **os.environ,
            "EPOCH_SECONDS": str(epoch_seconds),
            "RAY_gcs_rpc_server_reconnect_timeout_s": "1",
        },
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as supervisor:
        try:
            wait_until(lambda: len(list(directory.glob("runs/faults/trials/*/repeat_0"))) == 2)
            yield supervisor
        finally:
            supervisor.terminate()


def wait_until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def states(directory: Path) -> list[str]:
    spec, study = find_study("faults", directory / "runs")
    return [entry.state for entry in Ledger(spec, study).records()]


def processes_of(supervisor: subprocess.Popen[str]) -> dict[int, str]:
    """Return the command of every running process in the session of the driver."""
    children = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children")
    [driver] = children.read_text().split()
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session, *_ = (directory / "stat").read_text().rpartition(")")[2].split()
            command = (directory / "cmdline").read_text()
        except OSError:
            continue
        if session == driver and state != "Z":
            found[int(directory.name)] = command
    return found


def are_gone(pids: dict[int, str]) -> bool:
    return not any(
        Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_text()
        for pid in pids
    )


def test_a_study_is_stopped_from_elsewhere_at_the_end_of_its_epochs(tmp_path: Path) -> None:
    with running(tmp_path, epoch_seconds=4.0) as supervisor:
        holder = stop("faults", runs=tmp_path / "runs")
        output, message = supervisor.communicate(timeout=60)
    assert supervisor.returncode == 130, message
    assert holder is not None
    assert "the running trials finish their epoch" in output
    assert "stopped; continue with: balpoe run faults.yaml" in output
    assert states(tmp_path) == ["RUNNING", "RUNNING"]
    checkpoints = tmp_path.glob("runs/faults/trials/*/repeat_0/checkpoints/epoch_000001*")
    assert len(list(checkpoints)) == 2
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs/mlflow.db'}")
    experiment = client.get_experiment_by_name("faults")
    assert experiment is not None, output
    runs = client.search_runs([experiment.experiment_id])
    assert [run.info.status for run in runs] == ["KILLED"] * 3
    assert [
        fault for check in doctor("faults", runs=tmp_path / "runs") for fault in check.faults
    ] == []
    assert stop("faults", runs=tmp_path / "runs") is None


def test_sigterm_ends_a_study_amid_an_epoch_within_seconds_and_leaves_no_process(
    tmp_path: Path,
) -> None:
    with running(tmp_path, epoch_seconds=SLOW) as supervisor:
        processes = processes_of(supervisor)
        assert any("raylet" in command for command in processes.values())
        began = time.monotonic()
        supervisor.terminate()
        supervisor.communicate(timeout=30)
        assert time.monotonic() - began < 10.0
    assert supervisor.returncode == 143
    wait_until(lambda: are_gone(processes), seconds=10)
    assert states(tmp_path) == ["RUNNING", "RUNNING"]


def test_a_second_control_c_ends_a_study_at_once(tmp_path: Path) -> None:
    with running(tmp_path, epoch_seconds=SLOW) as supervisor:
        processes = processes_of(supervisor)
        supervisor.send_signal(signal.SIGINT)
        time.sleep(1.0)
        assert supervisor.poll() is None
        began = time.monotonic()
        supervisor.send_signal(signal.SIGINT)
        supervisor.communicate(timeout=30)
        assert time.monotonic() - began < 10.0
    assert supervisor.returncode == 130
    wait_until(lambda: are_gone(processes), seconds=10)
    assert states(tmp_path) == ["RUNNING", "RUNNING"]


def test_a_driver_that_ray_ends_is_reported_and_the_study_can_be_continued(tmp_path: Path) -> None:
    with running(tmp_path, epoch_seconds=SLOW) as supervisor:
        processes = processes_of(supervisor)
        [control_store] = [pid for pid, name in processes.items() if "gcs_server" in name]
        os.kill(control_store, signal.SIGKILL)
        _, message = supervisor.communicate(timeout=120)
    assert supervisor.returncode == 70
    assert "the driver died unexpectedly (ended with status 1)" in message
    wait_until(lambda: are_gone(processes), seconds=10)
    assert states(tmp_path) == ["RUNNING", "RUNNING"]
