"""A study whose trials do no work, launched under its supervisor, and checks of its result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from balpoe.launch.doctor import doctor
from balpoe.launch.runs import find_study
from balpoe.study.records.record_store import RecordStore
from balpoe.study.trials.record import TrialRecord
from tests.launch.faults_study import DRIVER, EPOCHS, PARENT

TRIALS = 4
OUTPUT_FILE = "output.txt"


@contextmanager
def launch(
    home: Path,
    *fault: str,
    epoch_seconds: float = 0.1,
    errors_alone: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """A launch under its supervisor, with further variables in its `environment`.

    All that it tells is to be read from its output; of errors alone, the rest is in `TOLD`.
    """
    variables = {"EPOCH_SECONDS": str(epoch_seconds), **(environment or {})}
    with (
        (home / OUTPUT_FILE).open("w") as file,
        subprocess.Popen(
            [sys.executable, str(PARENT), str(DRIVER), "faults.yaml", *fault],
            cwd=home,
            env={**os.environ, **variables},
            text=True,
            stdout=file if errors_alone else subprocess.PIPE,
            stderr=subprocess.PIPE if errors_alone else subprocess.STDOUT,
        ) as supervisor,
    ):
        try:
            yield supervisor
        finally:
            supervisor.terminate()


def kill_driver(supervisor: subprocess.Popen[str]) -> None:
    """Kill the driver of the supervisor if it is still running."""
    children = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children")
    if supervisor.poll() is None:
        for driver in children.read_text().split():
            os.kill(int(driver), signal.SIGKILL)


@contextmanager
def holding(home: Path, *trials: int) -> Iterator[None]:
    """Hold these trials in an epoch within the block."""
    held = home / "runs/held"
    held.parent.mkdir(exist_ok=True)
    held.write_text(" ".join(map(str, trials)))
    try:
        yield
    finally:
        held.unlink()


def begun(home: Path, trials: int) -> None:
    """Wait until so many trials have written metrics."""
    deadline = time.monotonic() + 120
    while len(list(home.glob("runs/faults/trials/*/repeat_0/metrics.parquet"))) < trials:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def recorded(home: Path) -> tuple[TrialRecord, ...]:
    """The trials of the study."""
    return RecordStore(*find_study("faults", home / "runs")).records()


def assert_whole(home: Path, trials: int = TRIALS) -> None:
    """Check that the study ended in its first launch and that no trial started twice."""
    assert_complete(home, trials)
    assert [record.identity.attempt for record in recorded(home)] == [0] * trials


def assert_complete(home: Path, trials: int = TRIALS) -> None:
    """Check that every trial is COMPLETE with the right objectives and doctor finds no fault."""
    records = recorded(home)
    assert [record.state for record in records] == ["COMPLETE"] * trials
    for record in records:
        assert record.objectives is not None
        worth = float(record.parameters["mixup.alpha"]) / EPOCHS
        assert record.objectives["val/accuracy"] == worth
        assert [result.epoch for result in record.history] == [1, 2, 3]
    assert_sound(home)


def assert_sound(home: Path) -> None:
    """Check that doctor finds no fault."""
    checks = doctor("faults", runs=home / "runs")
    assert [fault for check in checks for fault in check.faults] == []
