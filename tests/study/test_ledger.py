from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest

from balpoe.config import SAMPLERS, FloatParameter, StudySpec
from balpoe.errors import UserError
from balpoe.study.records.ledger import AlreadyEndedError, Ledger
from balpoe.study.records.optuna_trial import record_of
from balpoe.study.storage.storage_interface import unconfirmed
from balpoe.study.storage.storage_record import storage_of
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.failures import Failure
from balpoe.study.trials.record import TrialIdentity
from balpoe.study.trials.retries import RetryState

MakeSpec = Callable[..., StudySpec]
GOOD = {"val/accuracy": 0.5, "val/ece": 0.1}


@pytest.fixture
def directory(any_directory: StudyDirectory) -> StudyDirectory:
    """Every storage behaves alike."""
    return any_directory


def optuna_study(directory: StudyDirectory) -> optuna.Study:
    storage = storage_of(directory).open(unconfirmed)
    return optuna.load_study(study_name="digits", storage=storage)


def test_a_proposal_is_running_with_its_parameters_until_it_ends(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    ledger = Ledger(make_spec(), directory)
    proposal = ledger.ask()
    [entry] = ledger.records()
    assert (entry.state, entry.parameters) == ("RUNNING", proposal.parameters)
    ledger.complete(proposal.identity, GOOD)
    [entry] = ledger.records()
    assert (entry.state, entry.objectives) == ("COMPLETE", GOOD)
    assert entry.ended is not None
    assert 0 <= entry.ended - entry.started < 60


def test_with_one_expert_spread_and_sharing_are_recorded_and_not_suggested(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    ledger = Ledger(make_spec(sampler=SAMPLERS["random"]()), directory)
    proposals = [ledger.ask() for _ in range(20)]
    single = [p for p in proposals if p.parameters["experts.count"] == 1]
    several = [p for p in proposals if p.parameters["experts.count"] != 1]
    assert single
    assert several
    trials = optuna_study(directory).get_trials()
    for proposal in single:
        assert proposal.parameters["experts.spread"] == 0.0
        assert proposal.parameters["experts.sharing"] == "shared"
        assert set(trials[proposal.identity.number].params) == {"experts.count"}
    for proposal in several:
        assert trials[proposal.identity.number].params == proposal.parameters


def test_parameters_are_listed_in_the_order_of_the_study_file(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec()
    ledger = Ledger(spec, directory)
    assert list(ledger.ask().parameters) == list(spec.search)
    assert list(ledger.records()[0].parameters) == list(spec.search)


def test_an_orphan_is_taken_up_under_its_number_with_its_parameters(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    asked = [Ledger(make_spec(), directory).ask() for _ in range(3)]
    after = Ledger(make_spec(), directory)
    after.begin_launch()
    assert after.running() == (0, 1, 2)
    for proposal in asked:
        again = after.resume(proposal.identity)
        assert again.parameters == proposal.parameters
        assert again.identity.attempt == again.retries.attempt == 1
    assert after.resume(asked[0].identity).identity.attempt == 2
    assert len(after.records()) == 3


def test_an_orphan_whose_driver_died_while_proposing_gets_its_missing_parameters(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec()
    ledger = Ledger(spec, directory)
    study = optuna_study(directory)
    study.enqueue_trial({"experts.count": 2})
    half = study.ask()
    half.suggest_int("experts.count", 1, 3)
    half.suggest_float("experts.spread", 0.0, 2.0)
    proposal = ledger.resume(TrialIdentity("digits", half.number))
    assert set(proposal.parameters) == set(spec.search)
    assert proposal.parameters["experts.count"] == 2
    assert proposal.parameters["experts.spread"] == half.params["experts.spread"]
    assert ledger.records()[0].parameters == proposal.parameters


def test_a_trial_ends_once(make_spec: MakeSpec, directory: StudyDirectory) -> None:
    ledger = Ledger(make_spec(), directory)
    complete, failed = ledger.ask().identity, ledger.ask().identity
    ledger.complete(complete, GOOD)
    ledger.complete(complete, GOOD)
    with pytest.raises(AlreadyEndedError):
        ledger.complete(complete, {**GOOD, "val/ece": 0.2})
    with pytest.raises(AlreadyEndedError):
        ledger.fail(complete, Failure("deterministic", "too late"))
    ledger.fail(failed, Failure("resource", "first reason"))
    ledger.fail(failed, Failure("deterministic", "second reason"))
    with pytest.raises(AlreadyEndedError):
        ledger.complete(failed, GOOD)
    assert [entry.state for entry in ledger.records()] == ["COMPLETE", "FAIL"]
    assert [entry.failure for entry in ledger.records()] == [None, "first reason"]
    assert [entry.failure_class for entry in ledger.records()] == [None, "resource"]
    assert ledger.finished() == 2


@pytest.mark.parametrize("objectives", [1, 2])
def test_a_trial_is_pruned_once(
    make_spec: MakeSpec, directory: StudyDirectory, objectives: int
) -> None:
    spec = make_spec()
    spec = replace(spec, objectives=dict([*spec.objectives.items()][:objectives]))
    values = dict([*GOOD.items()][:objectives])
    ledger = Ledger(spec, directory)
    identity = ledger.ask().identity
    ledger.prune(identity, 3, values)
    ledger.prune(identity, 3, values)
    with pytest.raises(AlreadyEndedError):
        ledger.complete(identity, values)
    [entry] = ledger.records()
    assert (entry.state, entry.objectives, entry.failure) == ("PRUNED", None, None)
    assert ledger.finished() == 1


def test_deaths_are_counted_anew_after_progress_and_outlive_the_driver(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    identity = Ledger(make_spec(), directory).ask().identity
    epochs_and_counts = [(0, 1), (0, 2), (4, 1), (4, 2), (2, 3), (5, 1)]
    for epoch, count in epochs_and_counts:
        ledger = Ledger(make_spec(), directory)
        ledger.write_retries(identity, ledger.retries(identity).after_death(epoch))
        assert Ledger(make_spec(), directory).retries(identity).deaths == count


def test_an_exclusive_trial_is_resumed_exclusively_also_by_the_next_launch(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    before = Ledger(make_spec(), directory)
    exclusive, ordinary = before.ask().identity, before.ask().identity
    before.write_retries(exclusive, RetryState(exclusive=True))
    after = Ledger(make_spec(), directory)
    assert after.retries(exclusive).exclusive
    assert not after.retries(ordinary).exclusive
    assert after.resume(exclusive).retries.exclusive
    assert not after.resume(ordinary).retries.exclusive


def test_a_launch_does_not_repeat_the_proposals_of_the_one_before(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    proposals = []
    for launch in range(2):
        ledger = Ledger(make_spec(sampler=SAMPLERS["random"]()), directory)
        assert ledger.begin_launch() == launch
        proposals += [ledger.ask().parameters for _ in range(4)]
    several = [tuple(p.values()) for p in proposals if p["experts.count"] != 1]
    assert len(several) > 2
    assert len(set(several)) == len(several)


def test_the_same_seed_proposes_the_same_trials(make_spec: MakeSpec, tmp_path: Path) -> None:
    courses = []
    for name in ("one", "other"):
        directory = StudyDirectory.of(tmp_path, name)
        directory.create()
        ledger = Ledger(make_spec(seed=3), directory)
        ledger.begin_launch()
        courses.append([ledger.ask().parameters for _ in range(3)])
    assert courses[0] == courses[1]


def test_a_study_is_not_continued_with_other_objectives(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    Ledger(make_spec(), directory)
    for objectives in (
        {"val/accuracy": "minimize", "val/ece": "minimize"},
        {"val/balanced_accuracy": "maximize", "val/ece": "minimize"},
        {"val/accuracy": "maximize"},
    ):
        with pytest.raises(UserError, match=r"objectives: the study digits has .*another name"):
            Ledger(make_spec(objectives=objectives), directory)


def test_a_range_may_change_while_an_orphan_keeps_its_value(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    before = Ledger(make_spec(search={"mixup.alpha": FloatParameter(low=0, high=1)}), directory)
    value = before.ask().parameters
    wider = make_spec(search={"mixup.alpha": FloatParameter(low=2, high=3)})
    after = Ledger(wider, directory)
    assert after.resume(TrialIdentity("digits", 0)).parameters == value
    assert 2 <= float(after.ask().parameters["mixup.alpha"]) <= 3


def _open(spec: StudySpec, directory: StudyDirectory) -> None:
    Ledger(spec, directory)


def test_processes_that_create_the_storage_at_once_share_it(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_open, args=(make_spec(), directory)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert Ledger(make_spec(), directory).ask().identity.number == 0


def test_times_are_right_wherever_the_driver_was_and_the_reader_is(
    make_spec: MakeSpec, directory: StudyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_in(zone: str, context: pytest.MonkeyPatch) -> None:
        context.setenv("TZ", zone)
        time.tzset()

    begin = time.time()
    try:
        with monkeypatch.context() as context:
            be_in("Asia/Tokyo", context)
            ledger = Ledger(make_spec(), directory)
            ended, running = ledger.ask(), ledger.ask()
            ledger.complete(ended.identity, GOOD)
            be_in("America/Los_Angeles", context)
            entries = Ledger(make_spec(), directory).records()
    finally:
        time.tzset()
    one, other = entries[ended.identity.number], entries[running.identity.number]
    assert begin <= one.started <= (one.ended or 0)
    assert begin <= other.started <= time.time()
    assert other.ended is None


def test_a_trial_during_which_the_clock_was_set_back_lasted_no_time(make_spec: MakeSpec) -> None:
    started = datetime(2026, 1, 1, 12)
    trial = optuna.trial.create_trial(values=[0.5, 0.1])
    trial.datetime_start, trial.datetime_complete = started, started - timedelta(hours=5)
    entry = record_of(trial, make_spec())
    assert entry.started == entry.ended == started.timestamp()
