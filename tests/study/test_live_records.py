"""The records of running trials between two checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from balpoe.config import BudgetConfig, Configuration, FloatParameter, StudySpec
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.study.records.ledger import Ledger
from balpoe.study.records.live_records import LiveRecords
from balpoe.study.records.record_store import RecordStore
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import EpochReported, TrialEnded, TrialStarted
from balpoe.study.trials.metrics_file import write_metrics
from balpoe.training.epoch import EpochResult


def _result(epoch: int, loss: float = 1.0) -> EpochResult:
    return EpochResult(epoch, float(epoch), {"train/loss": loss / epoch})


@pytest.fixture
def spec() -> StudySpec:
    return StudySpec(
        name="digits",
        base=Configuration(data=DigitsLT()),
        search={"mixup.alpha": FloatParameter(low=0.0, high=1.0)},
        objectives={"val/ece": "minimize"},
        budget=BudgetConfig(trials=2),
    )


def test_epochs_follow_those_of_the_checkpoint_each_once(spec: StudySpec, tmp_path: Path) -> None:
    directory = StudyDirectory.of(tmp_path, spec.name)
    directory.create()
    ledger = Ledger(spec, directory)
    ledger.begin_launch()
    trial = ledger.ask()
    files = directory.trial(trial.identity)
    files.create()
    live = LiveRecords(RecordStore(spec, directory))

    def report(result: EpochResult) -> list[EpochResult]:
        return list(live.after(EpochReported(trial.identity, result.epoch, {}, result)).history)

    started = live.after(TrialStarted(trial.identity, trial.parameters))
    assert (started.state, started.history) == ("RUNNING", ())
    assert report(_result(1)) == [_result(1)]
    assert report(_result(2)) == [_result(1), _result(2)]

    # the worker dies; the next attempt resumes from the checkpoint after epoch 1
    second = replace(trial.identity, attempt=1)
    live.after(TrialStarted(second, trial.parameters))
    write_metrics(files.metrics, [_result(1)])
    assert report(_result(2, loss=3.0)) == [_result(1), _result(2, loss=3.0)]

    # the worker of a stopped trial has not written its files yet
    ended = live.after(TrialEnded(second, "PRUNED"))
    assert list(ended.history) == [_result(1), _result(2, loss=3.0)]

    live.after(TrialStarted(second, trial.parameters))
    write_metrics(files.metrics, [_result(1), _result(2), _result(3)])
    ended = live.after(TrialEnded(trial.identity, "PRUNED"))
    assert [result.epoch for result in ended.history] == [1, 2, 3]
