"""Further seeds for the front: run after the search, true in their files, resumed after kills."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from balpoe.config import StudySpec
from balpoe.errors import CorruptFile
from balpoe.study.execution.executor import run_trials
from balpoe.study.execution.trial import Course, RunTrial, TrialTask
from balpoe.study.records.ledger import Ledger
from balpoe.study.records.record_store import RecordStore
from balpoe.study.records.repeat_states import RepeatStates
from balpoe.study.records.study_trials import StudyTrials
from balpoe.study.search.spent_budget import is_finished
from balpoe.study.selection.candidates import candidates, objectives_over_seeds
from balpoe.study.selection.race import race
from balpoe.study.trials.attempts_file import add_attempt
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.failures import Failure
from balpoe.study.trials.metrics_file import write_metrics
from balpoe.study.trials.record import Attempt, TrialIdentity
from balpoe.study.trials.result_file import TrialResult, read_result, write_result
from balpoe.training.epoch import EpochResult

MakeSpec = Callable[..., StudySpec]
TRIALS = 3
BEST = 1


def objectives(identity: TrialIdentity) -> dict[str, float]:
    """Trial `BEST` dominates the others; every further seed is a point better."""
    accuracy = 0.8 if identity.number == BEST else 0.5
    return {"val/accuracy": accuracy + identity.repeat / 100, "val/ece": 1 - accuracy}


def recorded(task: TrialTask) -> Course:
    """A trial of one epoch that notes that it was begun."""
    identity = task.identity
    with (task.directory.path.parents[2] / "begun").open("a") as file:
        file.write(f"{identity.number}/{identity.repeat}/{identity.attempt}\n")
    task.directory.create()
    metrics = objectives(identity)
    epoch = EpochResult(1, 1000.0, metrics)
    write_metrics(task.directory.metrics, [epoch])
    result = TrialResult(
        identity,
        task.parameters,
        metrics,
        seed=0,
        data_fingerprint="",
        started=0,
        ended=1,
        files={},
    )
    write_result(task.directory, result)
    yield epoch
    return metrics


def diverging(task: TrialTask) -> Course:
    """As `recorded`, but the second repeat of every trial diverges."""
    if task.identity.repeat == 2:
        raise ValueError("diverged")
    return (yield from recorded(task))


def launch(spec: StudySpec, directory: StudyDirectory, run: RunTrial = recorded) -> list[str]:
    """Run the study; the trials that were begun as number/repeat/attempt."""
    (directory.path / "begun").write_text("")
    run_trials(spec, directory, lambda event: None, run=run)
    return sorted((directory.path / "begun").read_text().split())


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_the_front_gets_its_seeds_once_over_all_launches(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    search = make_spec(trials=TRIALS)
    assert launch(search, directory) == ["0/0/0", "1/0/0", "2/0/0"]
    spec = replace(search, repeats=4)
    store = RecordStore(spec, directory)
    assert not is_finished(spec, store.records(), store.launches())
    assert launch(spec, directory) == ["1/1/0", "1/2/0"]
    assert is_finished(spec, store.records(), store.launches())

    accuracy = objectives_over_seeds(store.records(), BEST)["val/accuracy"]
    assert accuracy.n == 3
    assert accuracy.mean == pytest.approx(0.81)
    assert Ledger(spec, directory).finished() == TRIALS

    interrupted = directory.trial(TrialIdentity("digits", BEST, repeat=2))
    interrupted.result.unlink()
    assert store.record(BEST, 2).state == "RUNNING"
    assert not is_finished(spec, store.records(), store.launches())
    assert launch(spec, directory) == ["1/2/1"]
    assert launch(spec, directory) == []


@pytest.mark.usefixtures("local_ray")
def test_a_repeat_that_fails_ends_the_race_of_its_trial_and_not_the_study(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(trials=TRIALS, repeats=5)
    begun = launch(spec, directory, run=diverging)
    assert begun == ["0/0/0", "1/0/0", "1/1/0", "2/0/0"]
    store = RecordStore(spec, directory)
    [failed] = [record for record in store.records() if record.state == "FAIL"]
    assert (failed.identity.number, failed.failure) == (BEST, "ValueError: diverged")
    assert race(spec, candidates(store.records())).withdrawn == (BEST,)
    assert objectives_over_seeds(store.records(), BEST)["val/accuracy"].n == 2
    assert is_finished(spec, store.records(), store.launches())
    assert launch(spec, directory) == []


def test_a_repeat_stands_as_its_files_say(make_spec: MakeSpec, directory: StudyDirectory) -> None:
    states = RepeatStates(make_spec(repeats=3), directory)
    one, two = TrialIdentity("digits", 5, 1), TrialIdentity("digits", 5, 2)
    assert states.resume(one, {"experts.count": 2}).identity.attempt == 0
    assert states.resume(one, {"experts.count": 2}).identity.attempt == 1
    assert not states.retries(one).exclusive
    states.write_retries(one, replace(states.retries(one), exclusive=True))
    assert states.retries(one).exclusive
    for epoch, deaths in ((0, 1), (0, 2), (3, 1), (3, 2)):
        states.write_retries(one, states.retries(one).after_death(epoch))
        assert states.retries(one).deaths == deaths
    states.resume(two, {"experts.count": 2})
    states.fail(two, Failure("deterministic", "diverged"))
    assert [(r.state, r.identity.attempt, r.failure) for r in states.records(5)] == [
        ("RUNNING", 1, None),
        ("FAIL", 0, "diverged"),
    ]
    assert states.record(one).attempts == ()
    attempts = (Attempt(0, 5.0, "a", ("0",)), Attempt(1, 9.0, "b"))
    for attempt in attempts:
        add_attempt(directory.trial(one), attempt)
    assert states.record(one).attempts == attempts
    assert states.record(two).attempts == ()
    directory.trial(one).attempts.write_text("{")
    with pytest.raises(CorruptFile, match=r"attempts\.json: damaged: .*delete it"):
        states.record(one)


def test_a_damaged_state_is_named_with_the_cure(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    states = RepeatStates(make_spec(repeats=2), directory)
    identity = TrialIdentity("digits", 0, 1)
    states.resume(identity, {})
    directory.trial(identity).state.write_text("{")
    with pytest.raises(CorruptFile, match=r"state\.json: damaged: .*delete its directory"):
        states.record(identity)


def test_the_book_leads_each_repeat_to_its_own_truth(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(repeats=2)
    trials = StudyTrials(spec, directory)
    trial = trials.ask()
    trials.complete(trial.identity, {"val/accuracy": 0.9, "val/ece": 0.1})
    [seed] = trials.seeds_to_train()
    repeat = TrialIdentity("digits", seed.number, seed.repeat)
    taken = trials.resume(repeat)
    assert taken.parameters == trial.parameters
    trials.write_retries(repeat, replace(taken.retries, exclusive=True))
    assert trials.resume(repeat).retries.exclusive
    trials.fail(repeat, Failure("resource", "out of memory"))
    assert trials.seeds_to_train() == ()
    trials.complete(repeat, {"val/accuracy": 0.1, "val/ece": 0.1})
    assert trials.seeds_to_train() == ()
    [entry] = Ledger(spec, directory).records()
    assert (entry.state, trials.finished()) == ("COMPLETE", 1)
    assert entry.objectives == {"val/accuracy": 0.9, "val/ece": 0.1}


def all_alike(task: TrialTask) -> Course:
    """No trial is better than another, by turns one and the others seem so."""
    yield from recorded(task)
    accuracy = 0.8 + 0.01 * ((task.identity.number + task.identity.repeat) % 2)
    metrics = {"val/accuracy": accuracy, "val/ece": 0.1}
    result = read_result(task.directory)
    write_result(task.directory, replace(result, objectives=metrics))
    return metrics


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_the_race_goes_on_round_by_round_within_one_launch(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    """The best of seed 0 comes first, then who is close to it, then all: nothing separates them."""
    spec = make_spec(trials=TRIALS, repeats=4)
    launch(spec, directory, run=all_alike)
    begun = (directory.path / "begun").read_text().replace("/0\n", " ").split()
    assert sorted(begun[3:5]) == ["1/1", "1/2"]
    assert sorted(begun[5:9]) == ["0/1", "0/2", "2/1", "2/2"]
    assert sorted(begun[9:]) == ["0/3", "1/3", "2/3"]
