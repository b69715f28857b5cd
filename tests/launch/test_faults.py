"""Drivers killed at every named point and at random, continued, and checked by doctor."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from balpoe.launch.runs import find_study
from balpoe.study.records.ledger import Ledger
from balpoe.study.trials.record import TrialRecord
from tests.launch.faults_study import faults_study
from tests.launch.launched_study import (
    assert_complete,
    assert_sound,
    kill_driver,
    launch,
    recorded,
)

pytestmark = pytest.mark.slow

EPOCH_SECONDS, KILLS = 0.3, 20
POINTS = (
    ("planned", 2),
    ("half asked", 3),
    ("asked", 2),
    ("run created", 1),
    ("run created", 3),
    ("checkpoint", 2),
    ("reported", 5),
    ("completed", 2),
    ("mirrored", 1),
)
"""In an order in which one study reaches all of them, one per launch."""


def write_study(directory: Path, trials: int) -> None:
    (directory / "faults.yaml").write_text(faults_study(trials))


def launched(directory: Path, *fault: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return launch(directory, *fault, epoch_seconds=EPOCH_SECONDS, errors_alone=True)


def end_of(directory: Path, *fault: str) -> tuple[int, str]:
    """Return the status and the output of a launch."""
    with launched(directory, *fault) as supervisor:
        _, message = supervisor.communicate(timeout=280)
        return supervisor.returncode, message


@pytest.mark.timeout(600)
def test_a_driver_killed_at_every_point_is_continued_and_nothing_is_lost_or_done_twice(
    tmp_path: Path,
) -> None:
    trials = 20  # a launch may end several of them before it comes to its point
    write_study(tmp_path, trials)
    before: Sequence[TrialRecord] = ()
    for point, times in POINTS:
        status, message = end_of(tmp_path, point, str(times))
        assert status == 70, f"{point} {times}: {message}"
        assert "the driver died unexpectedly (killed by SIGKILL)" in message
        before = require_kept(before, tmp_path)
    assert end_of(tmp_path) == (0, "")
    assert_complete(tmp_path, trials)
    require_kept(before, tmp_path)


def require_kept(before: Sequence[TrialRecord], home: Path) -> Sequence[TrialRecord]:
    """Return the records of the ledger, after checking that they contain those `before`."""
    after = Ledger(*find_study("faults", home / "runs")).records()
    assert len(after) >= len(before)
    for old, new in zip(before, after, strict=False):
        assert old.parameters.items() <= new.parameters.items()
        if old.state == "COMPLETE":
            assert new == old
    return after


EARLY_STOPPING = """
known_points: {}
resources: {concurrent_trials: 1}
early_stopping: {name: halving, grace_epochs: 1, reduction: 2}
"""


@pytest.mark.timeout(600)
def test_a_trial_that_fell_behind_is_stopped_where_it_was_whatever_became_of_the_driver(
    tmp_path: Path,
) -> None:
    """The driver dies between its decision and the ledger entry, and just after the entry."""
    write_study(tmp_path, trials=12)
    with (tmp_path / "faults.yaml").open("a") as file:
        file.write(EARLY_STOPPING)
    stopped = []
    for point, state in (("judged", "RUNNING"), ("pruned", "PRUNED")):
        assert end_of(tmp_path, point, "2")[0] == 70
        *_, last = recorded(tmp_path)
        assert last.state == state
        stopped.append(last)
    assert end_of(tmp_path) == (0, "")
    after = recorded(tmp_path)
    for record in stopped:
        assert after[record.identity.number].state == "PRUNED"
        assert after[record.identity.number].history == record.history
    assert {record.state for record in after} == {"COMPLETE", "PRUNED"}
    assert len(after) == 12
    for record in after:
        epochs = [result.epoch for result in record.history]
        assert epochs in ([[1, 2, 3]] if record.state == "COMPLETE" else [[1], [1, 2]])
    assert_sound(tmp_path)


@pytest.mark.timeout(900)
def test_a_study_survives_twenty_kills_at_random_times(
    tmp_path: Path, moments: random.Random
) -> None:
    trials = 40
    write_study(tmp_path, trials)
    for _ in range(KILLS):
        with launched(tmp_path) as supervisor:
            await_moment(supervisor, tmp_path, moments)
            kill_driver(supervisor)
            supervisor.communicate(timeout=120)
            assert supervisor.returncode in (0, 70)
    assert end_of(tmp_path) == (0, "")
    assert_complete(tmp_path, trials)


def await_moment(
    supervisor: subprocess.Popen[str], directory: Path, moments: random.Random
) -> None:
    """Three times of four during its trials, else during its start."""
    began = time.time()
    among_trials = moments.random() < 0.75
    while among_trials and supervisor.poll() is None and newest_record(directory) < began:
        time.sleep(0.05)
    time.sleep(moments.uniform(0.0, 3.0 if among_trials else 10.0))


def newest_record(directory: Path) -> float:
    """Return when a trial last wrote its metrics, in Unix seconds."""
    written = directory.glob("runs/faults/trials/*/repeat_0/metrics.parquet")
    return max((path.stat().st_mtime for path in written), default=0.0)
