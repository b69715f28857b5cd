"""The file with the newest epochs of the running trials."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from balpoe.study.records import running_epochs
from balpoe.study.records.running_epochs import RunningEpochsFile, with_running_epochs
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import (
    AttemptEnded,
    EpochReported,
    StopRequested,
    TrialEnded,
    TrialStarted,
)
from balpoe.study.trials.record import TrialIdentity, TrialRecord, TrialState
from balpoe.training.epoch import EpochResult


def _epoch(number: int, epoch: int, *, repeat: int = 0, attempt: int = 0) -> EpochReported:
    identity = TrialIdentity("digits", number, repeat, attempt)
    return EpochReported(identity, epoch, {}, EpochResult(epoch, 1000.0 + epoch, {}))


def _trial(
    number: int, epochs: int, *, attempt: int = 0, state: TrialState = "RUNNING"
) -> TrialRecord:
    history = tuple(EpochResult(epoch, float(epoch), {"a": 1.0}) for epoch in range(1, epochs + 1))
    identity = TrialIdentity("digits", number, 0, attempt)
    return TrialRecord(identity, {}, state, history, None, None, None, 0.0, None)


@pytest.fixture
def directory(tmp_path: Path) -> StudyDirectory:
    directory = StudyDirectory.of(tmp_path, "digits")
    directory.create()
    return directory


def _await_epochs(directory: StudyDirectory, trials: list[TrialRecord], epochs: list[int]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = with_running_epochs(directory, trials)
        if [t.history[-1].epoch if t.history else 0 for t in found] == epochs:
            return
        time.sleep(0.01)
    pytest.fail(f"{epochs} are not in the file")


def test_the_newest_epoch_of_each_running_trial_is_there_until_the_end(
    directory: StudyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_epochs, "_PERIOD_SECONDS", 0.01)
    trials = [_trial(0, 0), _trial(1, 3), _trial(2, 0)]
    with RunningEpochsFile(directory) as file:
        file.follow(StopRequested())
        file.follow(TrialStarted(TrialIdentity("digits", 0), {}))
        assert not directory.running_epochs.exists()
        for epoch in (1, 2, 5):
            file.follow(_epoch(0, epoch))
        file.follow(_epoch(1, 2))  # the files of the trial have more
        _await_epochs(directory, trials, [5, 3, 0])
        file.follow(_epoch(2, 1, repeat=1))
        file.follow(TrialEnded(TrialIdentity("digits", 0), "COMPLETE"))
        _await_epochs(directory, trials, [0, 3, 0])
        file.follow(AttemptEnded(TrialIdentity("digits", 1)))
    assert [path.name for path in directory.path.iterdir()] == []
    assert with_running_epochs(directory, trials) == tuple(trials)


def test_an_epoch_of_another_attempt_or_of_an_ended_trial_is_ignored(
    directory: StudyDirectory,
) -> None:
    with RunningEpochsFile(directory) as file:
        file.follow(_epoch(0, 7, attempt=1))
        _await_epochs(directory, [_trial(0, 1, attempt=1)], [7])
        others = [_trial(0, 1), _trial(0, 2, attempt=1, state="COMPLETE")]
        assert with_running_epochs(directory, others) == tuple(others)
        (found,) = with_running_epochs(directory, [_trial(0, 1, attempt=1)])
        assert found.history[-1] == EpochResult(7, 1007.0, {})


@pytest.mark.parametrize("content", ["", "{", '{"format": 2, "trials": []}', "[]"])
def test_a_damaged_file_or_one_of_a_later_version_shows_nothing(
    directory: StudyDirectory, content: str
) -> None:
    directory.running_epochs.write_text(content)
    assert with_running_epochs(directory, [_trial(0, 1)]) == (_trial(0, 1),)


def test_the_file_of_a_killed_driver_is_deleted_at_the_next_launch(
    directory: StudyDirectory,
) -> None:
    epoch = {"number": 0, "repeat": 0, "attempt": 0, "epoch": 7, "unix_time": 1.0}
    directory.running_epochs.write_text(json.dumps({"format": 1, "trials": [epoch]}))
    _await_epochs(directory, [_trial(0, 1)], [7])
    with RunningEpochsFile(directory):
        _await_epochs(directory, [_trial(0, 1)], [1])


def test_a_directory_that_cannot_be_written_harms_nothing(directory: StudyDirectory) -> None:
    directory.path.rmdir()
    with RunningEpochsFile(directory) as file:
        file.follow(_epoch(0, 1))
