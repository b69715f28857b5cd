"""A study whose trials do no work, launched under its supervisor, and what came of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from balpoe.launch.doctor import doctor
from balpoe.launch.lookup import study_of
from balpoe.study.record import TrialRecord
from balpoe.study.store import RecordStore
from tests.launch.faults_study import DRIVER, EPOCHS, PARENT

TRIALS = 4


@contextmanager
def launch(
    home: Path,
    *fault: str,
    epoch_seconds: float = 0.1,
    errors: int = subprocess.STDOUT,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """A launch under its supervisor, with further variables in its `environment`.

    What it tells of `errors` is among all that it tells, or by itself in a pipe.
    """
    variables = {"EPOCH_SECONDS": str(epoch_seconds), **(environment or {})}
    with subprocess.Popen(
        [sys.executable, str(PARENT), str(DRIVER), "faults.yaml", *fault],
        cwd=home,
        env={**os.environ, **variables},
        text=True,
        stdout=subprocess.PIPE,
        stderr=errors,
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


def recorded(home: Path) -> tuple[TrialRecord, ...]:
    """The trials of the study."""
    return RecordStore(*study_of("faults", home / "runs")).records()


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
