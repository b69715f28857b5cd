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
import torch
from ray import cloudpickle

from balpoe.config import ResourcesConfig, StudySpec
from balpoe.errors import StorageError, UserError
from balpoe.study.execution import tune_run
from balpoe.study.execution.executor import LaunchEnd, run_trials
from balpoe.study.execution.searcher import StudySearcher
from balpoe.study.execution.trial import Course, RunTrial, TrialTask
from balpoe.study.records.ledger import Ledger
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import (
    AttemptEnded,
    EpochReported,
    StudyEvent,
    TrialEnded,
    TrialEvent,
    TrialStarted,
)
from balpoe.study.trials.failures import FEWEST_ALIKE, Failure, FailureClass
from balpoe.study.trials.record import TrialIdentity
from balpoe.study.trials.retries import MOST_DEATHS
from balpoe.training.epoch import EpochResult
from tests.small_disk import small_disk
from tests.study.listeners import breaking_at

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


def needs_too_much_memory(task: TrialTask) -> Course:
    yield _epoch(1)
    raise torch.OutOfMemoryError("CUDA out of memory")


BROKEN: tuple[tuple[RunTrial, FailureClass, str], ...] = (
    (reports_nothing_and_returns_none, "deterministic", "NoneType"),
    (reports_none, "deterministic", "NoneType"),
    (omits_a_metric, "deterministic", "val/ece is missing"),
    (reports_nan, "deterministic", "val/accuracy is nan"),
    (reports_infinity, "deterministic", "val/accuracy is inf"),
    (reports_text, "deterministic", "val/accuracy is much"),
    (raises_at_once, "deterministic", "ValueError: no such thing"),
    (raises_after_the_best_report, "deterministic", "data/x.parquet: damaged"),
    (vanishes, "infrastructure", "the worker died"),
    (needs_too_much_memory, "resource", "CUDA out of memory"),
)


def vanishes_once(task: TrialTask) -> Course:
    return (sound if task.identity.attempt else vanishes)(task)


def has_too_little_memory_beside_others(task: TrialTask) -> Course:
    if task.identity.attempt == 0:
        raise MemoryError
    return sound(task)


RECOVERING: tuple[RunTrial, ...] = (vanishes_once, has_too_little_memory_beside_others)


def sound_then_broken_then_recovering(task: TrialTask) -> Course:
    runs = (sound, *(run for run, _, _ in BROKEN), *RECOVERING)
    return runs[task.identity.number](task)


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
    assert run_trials(study.spec, directory, study.events.append, run=sound) == LaunchEnd()
    return study


def test_the_budget_is_met_exactly(finished: Finished) -> None:
    entries = Ledger(finished.spec, finished.directory).records()
    assert [entry.state for entry in entries] == ["COMPLETE"] * 5


def test_the_events_of_a_trial_come_in_order_and_each_once(finished: Finished) -> None:
    for entry in Ledger(finished.spec, finished.directory).records():
        identity = TrialIdentity("digits", entry.identity.number)
        objectives = {"val/accuracy": 0.3, "val/ece": 1 / 3}
        assert entry.objectives == objectives
        events = [event for event in finished.events if isinstance(event, TrialEvent)]
        assert [event for event in events if event.identity == identity] == [
            TrialStarted(identity, entry.parameters),
            *(
                EpochReported(
                    identity,
                    epoch,
                    {"val/accuracy": epoch / 10, "val/ece": 1 / epoch},
                    EpochResult(epoch, 0.0, {}),  # not compared
                )
                for epoch in (1, 2, 3)
            ),
            TrialEnded(identity, "COMPLETE", objectives),
        ]


def test_no_more_trials_run_at_a_time_than_asked_for(finished: Finished) -> None:
    steps = [
        isinstance(event, TrialStarted) - isinstance(event, TrialEnded | AttemptEnded)
        for event in finished.events
    ]
    assert max(itertools.accumulate(steps)) == finished.spec.resources.concurrent_trials == 2


def test_nothing_of_tune_is_left_in_the_study(finished: Finished) -> None:
    left = {path.name for path in finished.directory.path.iterdir()}
    assert left == {"optuna.db", "optuna.db.lock", "launches"}


def test_a_finished_study_runs_nothing_again(finished: Finished) -> None:
    events: list[StudyEvent] = []
    run_trials(finished.spec, finished.directory, events.append, run=sound)
    assert events == []


@pytest.fixture(scope="module")
def broken(
    make_spec: MakeSpec, tmp_path_factory: pytest.TempPathFactory, local_ray: None
) -> Finished:
    directory = StudyDirectory.of(tmp_path_factory.mktemp("broken"), "digits")
    trials = 1 + len(BROKEN) + len(RECOVERING)
    study = Finished(make_spec(trials=trials), directory, [])
    run = sound_then_broken_then_recovering
    assert run_trials(study.spec, directory, study.events.append, run=run) == LaunchEnd()
    return study


def test_every_way_to_break_costs_one_failed_trial_of_its_class_and_not_the_study(
    broken: Finished,
) -> None:
    entries = Ledger(broken.spec, broken.directory).records()
    assert len(entries) == broken.spec.budget.trials
    for entry, (_, failure_class, reason) in zip(entries[1:], BROKEN, strict=False):
        assert entry.failure is not None
        assert (entry.state, entry.failure_class) == ("FAIL", failure_class)
        assert reason in entry.failure
        assert entry.objectives is None
    final = [event.identity.number for event in broken.events if isinstance(event, TrialEnded)]
    assert sorted(final) == list(range(len(entries)))
    failed = broken.directory.trial(TrialIdentity("digits", 7))
    assert "ValueError: no such thing" in failed.failure.read_text()


def test_what_fails_for_a_passing_reason_is_tried_again_under_its_own_number(
    broken: Finished,
) -> None:
    entries = Ledger(broken.spec, broken.directory).records()
    for entry in entries[1 + len(BROKEN) :]:
        assert (entry.state, entry.identity.attempt) == ("COMPLETE", 1)
        assert entry.failure_class is None


def test_a_trial_that_always_kills_its_worker_is_given_up_after_three_deaths(
    broken: Finished,
) -> None:
    [dying] = [number for number, (run, _, _) in enumerate(BROKEN, start=1) if run is vanishes]
    entry = Ledger(broken.spec, broken.directory).records()[dying]
    assert entry.identity.attempt == MOST_DEATHS - 1
    assert entry.failure is not None
    assert "3 times without progress" in entry.failure


def test_a_trial_that_ran_out_of_memory_is_tried_once_more_without_neighbours(
    broken: Finished,
) -> None:
    short_of_memory = {len(BROKEN), len(BROKEN) + len(RECOVERING)}
    live: set[int] = set()
    retried = set()
    for event in broken.events:
        if isinstance(event, TrialStarted):
            live.add(event.identity.number)
            if event.identity.attempt and event.identity.number in short_of_memory:
                retried.add(event.identity.number)
        elif isinstance(event, TrialEnded | AttemptEnded):
            live.remove(event.identity.number)
        assert not live & retried or len(live) == 1
    assert retried == short_of_memory
    entries = Ledger(broken.spec, broken.directory).records()
    assert [entries[number].identity.attempt for number in sorted(short_of_memory)] == [1, 1]


def loses_its_device(task: TrialTask) -> Course:
    yield _epoch(1)
    raise torch.AcceleratorError("CUDA error: device-side assert triggered")


def first_loses_its_device(task: TrialTask) -> Course:
    return (sound if task.identity.number else loses_its_device)(task)


@pytest.mark.slow
def test_a_worker_that_lost_its_device_spoils_no_other_trial(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(trials=3, concurrent=1)
    run_trials(spec, directory, _ignore, run=first_loses_its_device)
    first, *others = Ledger(spec, directory).records()
    assert (first.state, first.failure_class) == ("FAIL", "deterministic")
    assert [entry.state for entry in others] == ["COMPLETE"] * 2
    assert [entry.identity.attempt for entry in (first, *others)] == [0, 1, 0]


@pytest.mark.slow
def test_a_study_whose_first_trials_all_fail_alike_stops_and_can_be_continued(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(trials=8)
    end = run_trials(spec, directory, _ignore, run=raises_at_once)
    assert end == LaunchEnd(failing_alike=Failure("deterministic", "ValueError: no such thing"))
    failed = [entry.state for entry in Ledger(spec, directory).records()].count("FAIL")
    assert failed <= FEWEST_ALIKE + 1
    assert run_trials(spec, directory, _ignore, run=sound) == LaunchEnd()
    states = [entry.state for entry in Ledger(spec, directory).records()]
    assert sorted(states) == ["COMPLETE"] * (8 - failed) + ["FAIL"] * failed


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
    assert [entry.state for entry in Ledger(spec, directory).records()] == ["COMPLETE"] * 4


def cannot_write_its_files(task: TrialTask) -> Course:
    yield _epoch(1)
    if task.identity.number == 2 and task.identity.attempt == 0:
        raise StorageError("metrics.parquet: No space left on device; free some space")
    return {"val/accuracy": 0.5, "val/ece": 0.1}


@pytest.mark.slow
def test_a_full_disk_ends_the_study_and_costs_no_trial(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(trials=5)
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        run_trials(spec, directory, _ignore, run=cannot_write_its_files)
    states = [entry.state for entry in Ledger(spec, directory).records()]
    assert states[2] == "RUNNING"
    assert "FAIL" not in states
    run_trials(spec, directory, _ignore, run=cannot_write_its_files)
    assert [entry.state for entry in Ledger(spec, directory).records()] == ["COMPLETE"] * 5


@pytest.mark.slow
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
    states = [entry.state for entry in Ledger(spec, directory).records()]
    assert states.count("COMPLETE") == 2
    assert "FAIL" not in states
    run_trials(spec, directory, _ignore, run=sound)
    assert [entry.state for entry in Ledger(spec, directory).records()] == ["COMPLETE"] * 6


@pytest.mark.parametrize("breaks_at", [1, 2])
@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_listener_that_cannot_hear_of_a_trials_start_ends_the_study_and_loses_no_trial(
    make_spec: MakeSpec, directory: StudyDirectory, breaks_at: int
) -> None:
    """At the first trial nothing runs; at the second the first does."""
    spec = make_spec(trials=4)
    with pytest.raises(BrokenPipeError):
        run_trials(spec, directory, breaking_at(breaks_at), run=sound)
    entries = Ledger(spec, directory).records()
    assert [entry.state for entry in entries] == ["RUNNING"] * breaks_at
    run_trials(spec, directory, _ignore, run=sound)
    assert [entry.state for entry in Ledger(spec, directory).records()] == ["COMPLETE"] * 4


def test_a_trial_too_large_for_the_machine_is_refused(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = replace(make_spec(), resources=ResourcesConfig(cpus_per_trial=4096))
    with pytest.raises(UserError, match=r"no node has 4096 CPUs .*resources\.cpus_per_trial"):
        run_trials(spec, directory, _ignore, run=sound)


def test_the_fault_that_stopped_a_study_is_told_whatever_tune_stumbles_over_then(
    make_spec: MakeSpec, directory: StudyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stumbling:
        def __init__(self, _spec: object, _directory: object, searcher: StudySearcher, *_: object):
            self._searcher = searcher

        def fit(self) -> None:
            self._searcher.fault = StorageError("optuna.db: the disk is full")
            raise ValueError("Expecting value: line 1 column 1 (char 0)")

    monkeypatch.setattr(tune_run, "_tuner", Stumbling)
    with pytest.raises(StorageError, match="the disk is full"):
        run_trials(make_spec(), directory, _ignore, run=sound)


def test_a_disk_that_tune_is_the_first_to_find_full_is_told_in_a_line(
    make_spec: MakeSpec, directory: StudyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(directory.path, "2m") as disk:

        def fill_the_disk(**needs: object) -> None:
            disk.fill()

        monkeypatch.setattr(tune_run, "large_nodes", fill_the_disk)
        with pytest.raises(
            StorageError, match=r"tune: cannot be written: .*No space left on device; free"
        ):
            run_trials(make_spec(), directory, _ignore, run=sound)
        disk.free()
        monkeypatch.undo()
        run_trials(make_spec(trials=1), directory, _ignore, run=sound)
        [entry] = Ledger(make_spec(), directory).records()
        assert entry.state == "COMPLETE"
