"""Real Ray and real Optuna on trials that do no work."""

from __future__ import annotations

import itertools
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from ray import cloudpickle

from balpoe.config import ResourcesConfig, StudySpec
from balpoe.errors import StorageError, UserError
from balpoe.study.directory import StudyDirectory
from balpoe.study.events import EpochReported, StudyEvent, TrialEnded, TrialStarted
from balpoe.study.executor import run_trials
from balpoe.study.ledger import Ledger
from balpoe.study.record import TrialIdentity
from balpoe.study.trial import Course, TrialTask
from balpoe.training.epoch import EpochResult

# workers cannot import a test module
cloudpickle.register_pickle_by_value(  # type: ignore[no-untyped-call]  # Ray's own type
    sys.modules[__name__]
)

MakeSpec = Callable[..., StudySpec]
EPOCHS = 3

pytestmark = pytest.mark.usefixtures("local_ray")


def _epoch(epoch: int, **changes: object) -> EpochResult:
    metrics = {"val/accuracy": epoch / 10, "val/ece": 1 / epoch, "train/loss": 1.0}
    metrics |= {f"val/{name}": value for name, value in changes.items()}  # type: ignore[misc]
    return EpochResult(epoch, time.time(), metrics)


def sound(task: TrialTask) -> Course:
    for epoch in range(1, EPOCHS + 1):
        yield _epoch(epoch)
    return {"val/accuracy": EPOCHS / 10, "val/ece": 1 / EPOCHS}


def reports_nothing_and_returns_none(task: TrialTask) -> Course:
    yield from ()
    return None  # type: ignore[return-value]


def reports_none(task: TrialTask) -> Course:
    yield None  # type: ignore[misc]
    return {}


def omits_a_metric(task: TrialTask) -> Course:
    yield EpochResult(1, 0.0, {"val/accuracy": 0.5})
    return {"val/accuracy": 0.5}


def reports_nan(task: TrialTask) -> Course:
    yield _epoch(1, accuracy=math.nan)
    return {"val/accuracy": math.nan, "val/ece": 0.1}


def reports_infinity(task: TrialTask) -> Course:
    yield _epoch(1, accuracy=math.inf)
    return {"val/accuracy": math.inf, "val/ece": 0.1}


def reports_text(task: TrialTask) -> Course:
    yield _epoch(1, accuracy="much")
    return {"val/accuracy": "much", "val/ece": 0.1}  # type: ignore[dict-item]


def raises_at_once(task: TrialTask) -> Course:
    raise ValueError("no such thing")


def raises_after_the_best_report(task: TrialTask) -> Course:
    yield _epoch(1, accuracy=1.0, ece=0.0)
    raise UserError("data/x.parquet: damaged")


def vanishes(task: TrialTask) -> Course:
    yield _epoch(1)
    os._exit(7)


BROKEN = (
    (reports_nothing_and_returns_none, "NoneType"),
    (reports_none, "NoneType"),
    (omits_a_metric, "val/ece is missing"),
    (reports_nan, "val/accuracy is nan"),
    (reports_infinity, "val/accuracy is inf"),
    (reports_text, "val/accuracy is much"),
    (raises_at_once, "ValueError: no such thing"),
    (raises_after_the_best_report, "data/x.parquet: damaged"),
    (vanishes, "the worker died"),
)


def broken_then_sound(task: TrialTask) -> Course:
    """Trial n breaks in the n-th way; the later ones are sound."""
    number = task.identity.number
    run = BROKEN[number][0] if number < len(BROKEN) else sound
    return run(task)


def _ignore(event: StudyEvent) -> None:
    pass


@dataclass(frozen=True)
class Finished:
    """A study of five trials, run to its end, with the events that it sent."""

    spec: StudySpec
    directory: StudyDirectory
    events: list[StudyEvent]


@pytest.fixture(scope="module")
def finished(
    make_spec: MakeSpec, tmp_path_factory: pytest.TempPathFactory, local_ray: None
) -> Finished:
    directory = StudyDirectory.of(tmp_path_factory.mktemp("runs"), "digits")
    study = Finished(make_spec(trials=5), directory, [])
    assert run_trials(study.spec, directory, study.events.append, run=sound) is None
    return study


def test_the_budget_is_met_exactly(finished: Finished) -> None:
    entries = Ledger(finished.spec, finished.directory).entries()
    assert [entry.state for entry in entries] == ["COMPLETE"] * 5


def test_the_events_of_a_trial_come_in_order_and_each_once(finished: Finished) -> None:
    for entry in Ledger(finished.spec, finished.directory).entries():
        identity = TrialIdentity("digits", entry.number)
        objectives = {"val/accuracy": 0.3, "val/ece": 1 / 3}
        assert entry.objectives == objectives
        assert [event for event in finished.events if event.identity == identity] == [
            TrialStarted(identity, entry.parameters),
            *(
                EpochReported(identity, epoch, {"val/accuracy": epoch / 10, "val/ece": 1 / epoch})
                for epoch in (1, 2, 3)
            ),
            TrialEnded(identity, "COMPLETE", objectives),
        ]


def test_no_more_trials_run_at_a_time_than_asked_for(finished: Finished) -> None:
    steps = [isinstance(e, TrialStarted) - isinstance(e, TrialEnded) for e in finished.events]
    assert max(itertools.accumulate(steps)) == finished.spec.resources.concurrent_trials == 2


def test_nothing_of_tune_is_left_in_the_study(finished: Finished) -> None:
    left = {path.name for path in finished.directory.path.iterdir()}
    assert left == {"optuna.db", "optuna.db.lock"}


def test_a_finished_study_runs_nothing_again(finished: Finished) -> None:
    events: list[StudyEvent] = []
    run_trials(finished.spec, finished.directory, events.append, run=sound)
    assert events == []


def test_every_way_to_break_costs_one_failed_trial_and_not_the_study(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    ended: list[TrialEnded] = []

    def keep(event: StudyEvent) -> None:
        if isinstance(event, TrialEnded):
            ended.append(event)

    trials = len(BROKEN) + 2
    spec = make_spec(trials=trials)
    run_trials(spec, directory, keep, run=broken_then_sound)
    entries = Ledger(spec, directory).entries()
    assert [entry.state for entry in entries] == ["FAIL"] * len(BROKEN) + ["COMPLETE"] * 2
    for entry, (_, reason) in zip(entries, BROKEN, strict=False):
        assert entry.failure is not None
        assert reason in entry.failure
        assert entry.objectives is None
    assert sorted(event.identity.number for event in ended) == list(range(trials))
    failed = directory.trial(TrialIdentity("digits", 6))
    assert "ValueError: no such thing" in failed.failure.read_text()


def test_orphans_are_finished_first_under_their_own_numbers_and_parameters(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(trials=4)
    asked = [Ledger(spec, directory).ask() for _ in range(3)]
    events: list[StudyEvent] = []
    run_trials(spec, directory, events.append, run=sound)
    started = [event for event in events if isinstance(event, TrialStarted)]
    assert [(event.identity.number, event.identity.attempt) for event in started] == [
        (0, 1),
        (1, 1),
        (2, 1),
        (3, 0),
    ]
    assert [event.parameters for event in started[:3]] == [each.parameters for each in asked]
    assert [entry.state for entry in Ledger(spec, directory).entries()] == ["COMPLETE"] * 4


def test_a_fault_of_the_listener_ends_the_study_and_loses_no_trial(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    ends = 0

    def disk_is_full(event: StudyEvent) -> None:
        nonlocal ends
        ends += isinstance(event, TrialEnded)
        if ends == 2:
            raise StorageError("mlflow.db: disk full")

    spec = make_spec(trials=6)
    with pytest.raises(StorageError, match="disk full"):
        run_trials(spec, directory, disk_is_full, run=sound)
    states = [entry.state for entry in Ledger(spec, directory).entries()]
    assert states.count("COMPLETE") == 2
    assert "FAIL" not in states
    run_trials(spec, directory, _ignore, run=sound)
    assert [entry.state for entry in Ledger(spec, directory).entries()] == ["COMPLETE"] * 6


def test_a_trial_too_large_for_the_machine_is_refused(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = replace(make_spec(), resources=ResourcesConfig(cpus_per_trial=4096))
    with pytest.raises(UserError, match=r"resources\.cpus_per_trial: 4096, but Ray has"):
        run_trials(spec, directory, _ignore, run=sound)
