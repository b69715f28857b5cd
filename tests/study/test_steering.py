"""Requests of users to a running study: with real Ray and Optuna, and one by one without Ray."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import optuna
import pytest
from ray import cloudpickle

from balpoe.config import StudySpec
from balpoe.study.execution.executor import LaunchEnd, run_trials
from balpoe.study.execution.interruption import Interruption
from balpoe.study.execution.steering import Steering
from balpoe.study.execution.trial import Course, TrialTask
from balpoe.study.execution.trial_recorder import RunningTrial, TrialRecorder
from balpoe.study.records.ledger import Ledger
from balpoe.study.records.study_trials import StudyTrials
from balpoe.study.search.pruning import StoppedAt
from balpoe.study.search.spent_budget import Account, SpentBudget
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import EpochReported, StudyEvent, TrialEnded
from balpoe.study.trials.launch_log import log_launch, logged_launches
from balpoe.study.trials.metrics_file import write_metrics
from balpoe.study.trials.record import TrialIdentity, TrialToRun
from balpoe.study.trials.requests import Answer, Request, write_request
from balpoe.training.epoch import EpochResult

# workers cannot import a test module
cloudpickle.register_pickle_by_value(  # type: ignore[no-untyped-call]  # Ray's own type
    sys.modules[__name__]
)

MakeSpec = Callable[..., StudySpec]


def patient(task: TrialTask) -> Course:
    """Trial 0 goes on until it is stopped, the others end at once; closing it leaves a file."""
    epochs = 10_000 if task.identity.number == 0 else 2
    task.directory.create()
    try:
        for epoch in range(1, epochs + 1):
            time.sleep(0.05)
            metrics = {"val/accuracy": 0.5, "val/ece": 0.25, "train/loss": 1.0}
            yield EpochResult(epoch, time.time(), metrics)
    finally:
        (task.directory.path / "saved").touch()
    return {"val/accuracy": 0.5, "val/ece": 0.25}


@pytest.mark.usefixtures("local_ray")
def test_a_running_trial_is_stopped_and_a_point_is_the_next_trial(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(trials=3, concurrent=1)
    events: list[StudyEvent] = []
    answers: list[Answer] = []

    def steer() -> None:
        for request in (
            Request("try", point={"experts.count": 2, "experts.spread": 0.25}),
            Request("stop trial", trial=7),
            Request("stop trial", trial=0),
        ):
            pending = write_request(directory.requests, request)
            while (answer := pending.taken_answer()) is None:
                time.sleep(0.02)
            answers.append(answer)

    user = threading.Thread(target=steer)

    def listener(event: StudyEvent) -> None:
        events.append(event)
        if isinstance(event, EpochReported) and not user.is_alive() and not answers:
            user.start()

    assert run_trials(spec, directory, listener, run=patient) == LaunchEnd()
    user.join(20)
    assert [answer.refused for answer in answers] == [False, True, False]
    assert answers[1].message == "there is no trial 7"
    assert answers[2].message == "trial 0 ends as pruned after its running epoch"
    first, second, third = Ledger(spec, directory).records()
    assert [record.state for record in (first, second, third)] == ["PRUNED", "COMPLETE", "COMPLETE"]
    assert dict(second.parameters) == {
        "experts.spread": 0.25,
        "experts.sharing": "shared",
        "experts.count": 2,
    }
    assert (directory.trial(first.identity).path / "saved").exists()
    ends = [event for event in events if isinstance(event, TrialEnded)]
    assert [end.state for end in ends] == ["PRUNED", "COMPLETE", "COMPLETE"]
    [launch] = logged_launches(directory.launches)
    assert [logged.request.kind for logged in launch.requests] == [
        "try",
        "stop trial",
        "stop trial",
    ]
    assert [logged.answer for logged in launch.requests] == answers
    assert list(directory.requests.iterdir()) == []


class Driver:
    """The collaborators of a launch without Tune."""

    def __init__(self, spec: StudySpec, directory: StudyDirectory) -> None:
        self.spec, self.directory = spec, directory
        self.trials = StudyTrials(spec, directory)
        number = self.trials.begin_launch(())
        log_launch(directory.launches, spec, number=number, started=0.0)
        self.account = Account(SpentBudget(0, 0.0, 0.0), spec.resources)
        self.recorder = TrialRecorder(spec, self.trials, lambda _: None, Interruption(), None)
        self.running: list[RunningTrial] = []
        self.steering = Steering(
            spec, directory, self.trials, self.recorder, self.account, number, now=self._later
        )
        self._time = 0.0

    def _later(self) -> float:
        self._time += 10
        return self._time

    def begin(self) -> TrialToRun:
        trial = self.trials.ask()
        self.running.append(RunningTrial(trial))
        return trial

    def ask(self, request: Request) -> Answer | None:
        pending = write_request(self.directory.requests, request)
        self.steering.poll(self.running)
        return pending.taken_answer()


METRICS = {"val/accuracy": 0.5, "val/ece": 0.2, "train/loss": 1.0}


def test_a_trial_is_pruned_with_what_its_epoch_has(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = replace(make_spec(), objectives={"val/accuracy": "maximize"})
    driver = Driver(spec, directory)
    evaluated, other = driver.begin(), driver.begin()
    for number in (0, 1):
        answer = driver.ask(Request("stop trial", trial=number))
        assert answer is not None
        assert not answer.refused
    assert driver.recorder.is_pruned(driver.running[0], 3, METRICS)
    assert driver.recorder.is_pruned(driver.running[1], 1, {"train/loss": 2.0})
    for running in driver.running:
        assert running.pruned_with is not None
        driver.recorder.prune(running.trial.identity, running.pruned_with)
    stored = optuna.load_study(study_name="digits", storage=f"sqlite:///{directory.database}")
    assert [trial.state.name for trial in stored.trials] == ["PRUNED", "PRUNED"]
    assert [trial.intermediate_values for trial in stored.trials] == [{3: 0.5}, {}]
    assert (evaluated.identity.number, other.identity.number) == (0, 1)


def test_the_request_to_stop_a_trial_outlives_a_killed_driver(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec()
    driver = Driver(spec, directory)
    driver.begin()
    assert driver.ask(Request("stop trial", trial=0)) is not None
    driver.steering.poll(driver.running)  # answered, not executed again
    assert len(list(directory.requests.glob("*.request.json"))) == 1

    after = Driver(spec, directory)
    after.steering.poll([])  # trial 0 is RUNNING and not resumed yet
    assert len(list(directory.requests.glob("*.request.json"))) == 1
    resumed = RunningTrial(after.trials.resume(TrialIdentity("digits", 0)))
    after.steering.poll([resumed])
    assert after.recorder.is_pruned(resumed, 1, METRICS)
    assert resumed.pruned_with is not None
    after.recorder.prune(resumed.trial.identity, resumed.pruned_with)
    after.steering.poll([])
    assert len(list(directory.requests.glob("*.request.json"))) == 0


def test_a_point_is_entered_once_for_a_request(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec()
    driver = Driver(spec, directory)
    pending = write_request(directory.requests, Request("try", point={"experts.count": 3}))
    content = pending.path.read_text()
    driver.steering.poll([])
    pending.path.write_text(content)  # the driver was killed before it deleted the request
    after = Driver(spec, directory)
    after.steering.poll([])
    assert after.trials.ask().parameters["experts.count"] == 3
    assert len(Ledger(spec, directory).records()) == 1


def test_refusals_name_the_reason(make_spec: MakeSpec, directory: StudyDirectory) -> None:
    driver = Driver(make_spec(trials=2), directory)
    trial = driver.begin()
    driver.trials.complete(trial.identity, {"val/accuracy": 0.5, "val/ece": 0.2})
    driver.running.clear()

    def refusal(request: Request) -> str:
        answer = driver.ask(request)
        assert answer is not None
        assert answer.refused
        return answer.message

    assert refusal(Request("stop trial", trial=0)) == "trial 0 has ended as COMPLETE"
    repeat = driver.trials.resume(TrialIdentity("digits", 0, 1))
    driver.running.append(RunningTrial(repeat))
    assert refusal(Request("stop trial", trial=0)) == (
        "trial 0 is complete; its further seed 1 is running"
    )
    driver.recorder.finished = 2
    assert refusal(Request("try", point={"experts.count": 1})) == (
        "the budget of the study has no trial left: raise it in the study file"
    )
    assert [each.answer.refused for each in logged_launches(directory.launches)[0].requests] == [
        True
    ] * 3


def test_a_damaged_request_stops_nothing(
    make_spec: MakeSpec, directory: StudyDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    driver = Driver(make_spec(), directory)
    directory.requests.mkdir()
    (directory.requests / "a.request.json").write_text("{")
    answer = driver.ask(Request("try", point={"experts.count": 1}))
    assert answer is not None
    driver.steering.poll([])
    assert caplog.text.count("a.request.json: damaged") == 1


def test_a_stop_outlives_the_death_of_the_worker(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    driver = Driver(make_spec(), directory)
    trial = driver.begin()
    assert driver.ask(Request("stop trial", trial=0)) is not None
    driver.running.clear()  # its worker dies
    driver.steering.poll(driver.running)
    assert len(list(directory.requests.glob("*.request.json"))) == 1
    resumed = RunningTrial(driver.trials.resume(trial.identity))
    assert resumed.trial.identity.attempt == 1
    assert driver.recorder.is_pruned(resumed, 1, METRICS)


@pytest.mark.parametrize("source", ["this attempt", "an earlier attempt"])
def test_a_trial_is_pruned_with_the_values_that_it_last_reported(
    make_spec: MakeSpec, directory: StudyDirectory, source: str
) -> None:
    driver = Driver(make_spec(), directory)
    running = RunningTrial(driver.begin())
    last = EpochResult(2, 0.0, METRICS)
    if source == "this attempt":
        driver.recorder.report(running, last)
        driver.recorder.report(running, EpochResult(3, 0.0, {"train/loss": 1.0}))
    else:
        files = directory.trial(running.trial.identity)
        files.create()
        write_metrics(files.metrics, [EpochResult(1, 0.0, {"train/loss": 1.0}), last])
    driver.recorder.stop(running.trial.identity)
    unusable = {"val/accuracy": math.nan, "val/ece": 0.1}
    assert driver.recorder.is_pruned(running, 4, unusable)
    assert running.pruned_with == StoppedAt(2, {"val/accuracy": 0.5, "val/ece": 0.2})


def test_running_and_waiting_trials_count_in_the_budget(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    driver = Driver(make_spec(trials=3), directory)
    driver.begin()
    point = {"experts.count": 2, "experts.spread": 0.25}
    answers = [driver.ask(Request("try", point=point)) for _ in range(3)]
    assert [answer is not None and answer.refused for answer in answers] == [False, False, True]
    stop = driver.ask(Request("stop trial", trial=1))
    assert stop == Answer(True, "trial 1 waits to be started")


def test_a_point_that_was_tried_is_tried_again_with_a_remark(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    driver = Driver(make_spec(), directory)
    request = Request("try", point={"experts.count": 2, "experts.spread": 0.25})
    first = driver.ask(request)
    assert first is not None
    assert "same parameters" not in first.message
    driver.begin()
    second = driver.ask(request)
    assert second is not None
    assert second.message.endswith("; trial 0 has the same parameters")


@pytest.mark.usefixtures("local_ray")
def test_a_point_that_waits_for_a_launch_is_its_first_new_trial(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    write_request(directory.requests, Request("try", point={"experts.count": 3}))
    spec = make_spec(trials=1)
    assert run_trials(spec, directory, lambda _: None, run=ends_at_once) == LaunchEnd()
    [trial] = Ledger(spec, directory).records()
    assert trial.parameters["experts.count"] == 3


def ends_at_once(task: TrialTask) -> Course:
    yield EpochResult(1, time.time(), METRICS)
    return METRICS
