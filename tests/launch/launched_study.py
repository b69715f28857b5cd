"""A study whose trials do no work, launched under its supervisor, and what came of it."""

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
TOLD = "told.txt"


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
        (home / TOLD).open("w") as told,
        subprocess.Popen(
            [sys.executable, str(PARENT), str(DRIVER), "faults.yaml", *fault],
            cwd=home,
            env={**os.environ, **variables},
            text=True,
            stdout=told if errors_alone else subprocess.PIPE,
            stderr=subprocess.PIPE if errors_alone else subprocess.STDOUT,
        ) as supervisor,
    ):
        try:
            yield supervisor
        finally:
            supervisor.terminate()


def kill_driver(supervisor: subprocess.Popen[str]) -> None:
    """Kill the driver that it watches, where it has not ended."""
    children = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children")
    if supervisor.poll() is None:
        for driver in children.read_text().split():
            os.kill(int(driver), signal.SIGKILL)


@contextmanager
def holding(home: Path, *trials: int) -> Iterator[None]:
    """A block in which these trials do not get past an epoch."""
    held = home / "runs/held"
    held.parent.mkdir(exist_ok=True)
    held.write_text(" ".join(map(str, trials)))
    try:
        yield
    finally:
        held.unlink()


def begun(home: Path, trials: int) -> None:
    """Return once so many trials have written metrics."""
    deadline = time.monotonic() + 120
    while len(list(home.glob("runs/faults/trials/*/repeat_0/metrics.parquet"))) < trials:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def recorded(home: Path) -> tuple[TrialRecord, ...]:
    """The trials of the study."""
    return RecordStore(*find_study("faults", home / "runs")).records()


def assert_whole(home: Path, trials: int = TRIALS) -> None:
    """The study came to its end in its first launch, and no trial was begun twice."""
    assert_complete(home, trials)
    assert [record.identity.attempt for record in recorded(home)] == [0] * trials


def assert_complete(home: Path, trials: int = TRIALS) -> None:
    """Every trial is COMPLETE, worth what its parameters are worth, and the doctor content."""
    records = recorded(home)
    assert [record.state for record in records] == ["COMPLETE"] * trials
    for record in records:
        assert record.objectives is not None
        worth = float(record.parameters["mixup.alpha"]) / EPOCHS
        assert record.objectives["val/accuracy"] == worth
        assert [result.epoch for result in record.history] == [1, 2, 3]
    assert_sound(home)


def assert_sound(home: Path) -> None:
    """The doctor is content."""
    checks = doctor("faults", runs=home / "runs")
    assert [fault for check in checks for fault in check.faults] == []
