"""Early stopping on real Ray and real Optuna, of trials that do no work."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import optuna
import pytest
import torch
from ray import cloudpickle

from balpoe.config import Constraint, HalvingConfig, StudySpec
from balpoe.errors import StorageError
from balpoe.study.execution.executor import LaunchEnd, run_trials
from balpoe.study.execution.trial import Course, TrialTask
from balpoe.study.records.ledger import Ledger
from balpoe.study.records.record_store import RecordStore
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import EpochReported, StudyEvent, TrialEnded, TrialStarted
from balpoe.study.trials.metrics_file import write_metrics
from balpoe.study.trials.record import TrialIdentity
from balpoe.training.epoch import EpochResult

# workers cannot import a test module
cloudpickle.register_pickle_by_value(  # type: ignore[no-untyped-call]  # Ray's own type
    sys.modules[__name__]
)

MakeSpec = Callable[..., StudySpec]
ACCURACIES = (0.5, 0.4, 0.6, 0.45, 0.7)
STATES = ["COMPLETE", "PRUNED", "COMPLETE", "PRUNED", "COMPLETE"]
HALVING = HalvingConfig(grace_epochs=1, reduction=2)  # rungs after epochs 1 and 2 of 3

pytestmark = pytest.mark.usefixtures("local_ray")


def metrics_of(number: int) -> dict[str, float]:
    accuracy = ACCURACIES[number]
    return {"val/accuracy": accuracy, "val/ece": 1 - accuracy, "val/accuracy_few": 1 - accuracy}


def known_from_the_start(task: TrialTask) -> Course:
    """A trial whose curve is flat."""
    metrics = metrics_of(task.identity.number)
    history: list[EpochResult] = []
    task.directory.create()
    for epoch in range(1, 4):
        history.append(EpochResult(epoch, time.time(), metrics))
        write_metrics(task.directory.metrics, history)
        yield history[-1]
    return metrics


@pytest.mark.parametrize("objectives", [1, 2])
def test_trials_that_fall_behind_end_pruned_and_the_others_complete(
    make_spec: MakeSpec, directory: StudyDirectory, objectives: int
) -> None:
    spec = make_spec(trials=5, concurrent=1, early_stopping=HALVING)
    spec = replace(spec, objectives=dict([*spec.objectives.items()][:objectives]))
    events: list[StudyEvent] = []
    assert run_trials(spec, directory, events.append, run=known_from_the_start) == LaunchEnd()
    ledger = Ledger(spec, directory)
    entries = ledger.records()
    assert [entry.state for entry in entries] == STATES
    assert [entry.objectives is None for entry in entries] == [s == "PRUNED" for s in STATES]

    pruned = TrialIdentity("digits", 1)
    told = {name: metrics_of(1)[name] for name in spec.objectives}
    assert [event for event in events if getattr(event, "identity", None) == pruned] == [
        TrialStarted(pruned, entries[1].parameters),
        EpochReported(pruned, 1, told, EpochResult(1, 0.0, {})),  # the result is not compared
        TrialEnded(pruned, "PRUNED"),
    ]
    storage = f"sqlite:///{directory.database}"
    trial = optuna.load_study(study_name="digits", storage=storage).trials[1]
    assert trial.values == ([0.4] if objectives == 1 else None)
    assert trial.intermediate_values == ({1: 0.4} if objectives == 1 else {})


def test_trials_that_break_a_constraint_at_a_rung_fall_behind_worse_ones_that_keep_it(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    constraints = {"val/accuracy_few": Constraint(at_least=0.45)}
    spec = make_spec(trials=5, concurrent=1, early_stopping=HALVING, constraints=constraints)
    spec = replace(spec, objectives={"val/accuracy": "maximize"})
    run_trials(spec, directory, lambda _: None, run=known_from_the_start)
    states = [entry.state for entry in Ledger(spec, directory).records()]
    assert states == ["COMPLETE", *["PRUNED"] * 4], "trials 2 and 4 are the best and break it"


def test_a_trial_that_was_stopped_but_not_told_so_is_stopped_by_the_next_launch(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    """As if the driver had been killed between decision and ledger."""
    spec = make_spec(trials=5, concurrent=1, early_stopping=HALVING)
    ledger = Ledger(spec, directory)
    for number, epochs in ((0, 3), (1, 1)):
        identity = ledger.ask().identity
        assert identity.number == number
        files = directory.trial(identity)
        files.create()
        metrics = metrics_of(number)
        write_metrics(files.metrics, [EpochResult(e, 0.0, metrics) for e in range(1, epochs + 1)])
    ledger.complete(TrialIdentity("digits", 0), metrics_of(0))
    events: list[StudyEvent] = []
    run_trials(spec, directory, events.append, run=known_from_the_start)
    assert [entry.state for entry in Ledger(spec, directory).records()] == STATES
    assert events[0] == TrialEnded(TrialIdentity("digits", 1), "PRUNED")
    store = RecordStore(spec, directory)
    assert [result.epoch for result in store.record(1).history] == [1]


@dataclass(frozen=True)
class FailingWhenLeft:
    """Trials that can save no checkpoint where they are stopped."""

    error: type[Exception]

    def __call__(self, task: TrialTask) -> Course:
        try:
            return (yield from known_from_the_start(task))
        except GeneratorExit:
            raise self.error("no checkpoint") from None


@pytest.mark.parametrize(
    ("error", "attempts"),
    [(StorageError, [0] * 5), (MemoryError, [0] * 5), (torch.AcceleratorError, [0, 0, 1, 0, 1])],
)
@pytest.mark.slow
def test_what_goes_wrong_where_a_trial_is_left_costs_the_next_of_its_worker_nothing(
    make_spec: MakeSpec, directory: StudyDirectory, error: type[Exception], attempts: list[int]
) -> None:
    """A worker whose device was lost ends, and another takes the trial up."""
    spec = make_spec(trials=5, concurrent=1, early_stopping=HALVING)
    assert run_trials(spec, directory, lambda _: None, run=FailingWhenLeft(error)) == LaunchEnd()
    entries = Ledger(spec, directory).records()
    assert [entry.state for entry in entries] == STATES
    assert [entry.identity.attempt for entry in entries] == attempts


@pytest.mark.slow
def test_further_seeds_are_never_stopped(make_spec: MakeSpec, directory: StudyDirectory) -> None:
    spec = make_spec(trials=2, concurrent=1, repeats=2, early_stopping=HALVING)
    events: list[StudyEvent] = []
    run_trials(spec, directory, events.append, run=known_from_the_start)
    ended = [event for event in events if isinstance(event, TrialEnded)]
    assert [(event.identity.repeat, event.state) for event in ended] == [
        (0, "COMPLETE"),
        (0, "PRUNED"),
        (1, "COMPLETE"),
    ]
