"""The mirror against a real MLflow store on SQLite."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from balpoe.config import StudySpec
from balpoe.study.trials.record import Attempt, TrialRecord
from balpoe.tracking.mirror import Mirror
from balpoe.tracking.mirror_writer import start_mirror
from balpoe.tracking.run_data import Origin
from balpoe.tracking.tracking_store import TrackingStore, local_store
from balpoe.training.epoch import EpochResult

MakeRecord = Callable[..., TrialRecord]
ORIGIN = Origin(user="ada", git_commit="c0ffee")


FIRST_START = """
import sys, pathlib
from balpoe.config import *
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.tracking import Origin, local_store, start_mirror
assert "mlflow" not in sys.modules
spec = StudySpec(
    name="first",
    base=Configuration(data=DigitsLT()),
    search={"mixup.alpha": FloatParameter(low=0.0, high=1.0)},
    objectives={"val/ece": "minimize"},
    budget=BudgetConfig(trials=1),
)
writer = start_mirror(local_store(pathlib.Path("runs")), spec, Origin())
print(writer.close("finished", deadline_seconds=60))
"""


@pytest.fixture(scope="module")
def first_start(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A process that starts without an MLflow store, and its working directory."""
    directory = tmp_path_factory.mktemp("work")
    command = [sys.executable, "-c", FIRST_START]
    return directory, subprocess.run(command, cwd=directory, capture_output=True, text=True)


@pytest.fixture(scope="module")
def store(first_start: tuple[Path, object]) -> TrackingStore:
    return local_store(first_start[0] / "runs")


@pytest.fixture
def mirror(store: TrackingStore, spec: StudySpec) -> Mirror:
    return Mirror(store, spec, ORIGIN)


def _runs(store: TrackingStore, spec: StudySpec, role: str, order: str = "") -> list[Run]:
    client = MlflowClient(tracking_uri=store.tracking_uri)
    experiment = client.get_experiment_by_name(spec.name)
    assert experiment is not None
    order_by = [order] if order else None
    return list(
        client.search_runs([experiment.experiment_id], f"tags.role = '{role}'", order_by=order_by)
    )


def _history(store: TrackingStore, run: Run, metric: str) -> list[Metric]:
    client = MlflowClient(tracking_uri=store.tracking_uri)
    return list(client.get_metric_history(run.info.run_id, metric))


def test_a_study_is_one_experiment_with_a_parent_run_and_a_child_run_per_trial(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord
) -> None:
    mirror.mirror(make_record(0, 2))
    mirror.mirror(make_record(1, 2, "COMPLETE"))
    (parent,) = _runs(store, spec, "study")
    children = _runs(store, spec, "trial", "attributes.run_name ASC")
    assert parent.info.run_name == spec.name
    assert parent.data.tags["mlflow.note.content"] == "Does mixup help?"
    assert [run.info.run_name for run in children] == ["trial 0000", "trial 0001"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}


def test_a_complete_trial_carries_parameters_objectives_state_tags_and_its_own_times(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord
) -> None:
    record = make_record(3, 5, "COMPLETE", accuracy=0.875)
    mirror.mirror(record)
    (run,) = _runs(store, spec, "trial")
    searched = {k: v for k, v in run.data.params.items() if not k.startswith("fixed/")}
    assert searched == {"mixup.alpha": "0.75"}
    assert run.data.params["fixed/data.name"] == "digits_lt"
    assert run.data.params["fixed/training.epochs"] == str(spec.base.training.epochs)
    assert "fixed/mixup.alpha" not in run.data.params
    assert run.data.metrics["val/accuracy"] == 0.875
    assert not any(name.startswith("objective/") for name in run.data.metrics)
    assert run.info.status == "FINISHED"
    assert run.info.start_time == round(1000 * record.started)
    assert run.info.end_time == round(1000 * (record.started + 6))
    expected = {
        "study": spec.name,
        "number": "3",
        "repeat": "0",
        "state": "COMPLETE",
        "failure": "",
        "data_fingerprint": "sha256:0123",
        "mlflow.user": "ada",
        "mlflow.source.git.commit": "c0ffee",
    }
    assert expected.items() <= run.data.tags.items()


def test_the_host_of_the_newest_attempt_is_a_tag_where_it_is_recorded(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord
) -> None:
    running = replace(make_record(0, 2, attempt=1), attempts=(Attempt(0, 1.0, "a"),))
    mirror.mirror(running)
    mirror.mirror(make_record(1, 2, "COMPLETE"))
    for run in _runs(store, spec, "trial"):
        assert "host" not in run.data.tags
    attempts = (*running.attempts, Attempt(1, 2.0, "b", ("0",)))
    mirror.mirror(replace(make_record(0, 3, "COMPLETE", attempt=1), attempts=attempts))
    first, second = _runs(store, spec, "trial", "attributes.run_name ASC")
    assert first.data.tags["host"] == "b"
    assert "host" not in second.data.tags


def test_epochs_are_steps_under_their_stored_times(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord
) -> None:
    record = make_record(0, 3)
    mirror.mirror(record)
    (run,) = _runs(store, spec, "trial")
    points = _history(store, run, "train/loss")
    assert [(point.step, point.value) for point in points] == [(1, 2.0), (2, 1.0), (3, 2.0 / 3)]
    times = [round(1000 * result.unix_time) for result in record.history]
    assert [point.timestamp for point in points] == times


def test_mirroring_twice_writes_nothing_twice_in_one_process_or_two(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord
) -> None:
    record = make_record(0, 4, "COMPLETE")
    mirror.mirror(record)
    mirror.mirror(record)
    Mirror(store, spec, ORIGIN).mirror(record)
    assert len(_runs(store, spec, "study")) == 1
    (run,) = _runs(store, spec, "trial")
    for metric in ("train/loss", "val/ece"):
        assert [point.step for point in _history(store, run, metric)] == [1, 2, 3, 4]


def test_a_class_with_a_slash_in_its_name_is_written_once(
    mirror: Mirror,
    store: TrackingStore,
    spec: StudySpec,
    make_record: MakeRecord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = make_record(0, 3, "COMPLETE")
    history = tuple(
        replace(result, metrics={**result.metrics, "val/class/red/green/recall": 0.5})
        for result in record.history
    )
    record = replace(record, history=history)
    mirror.mirror(record)
    (run,) = _runs(store, spec, "trial")
    assert len(_history(store, run, "val/class/red:2f:green/recall")) == 3
    again = Mirror(store, spec, ORIGIN)
    written: list[Metric] = []
    monkeypatch.setattr(
        MlflowClient, "log_batch", lambda *args, metrics=(), **rest: written.extend(metrics)
    )
    monkeypatch.setattr(MlflowClient, "set_terminated", lambda *args, **rest: written.append(args))
    again.mirror(record)
    assert written == []


def test_a_growing_record_adds_only_its_new_epochs(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord
) -> None:
    for epochs in (0, 1, 1, 3):
        mirror.mirror(make_record(0, epochs))
    mirror.mirror(make_record(0, 4, "COMPLETE"))
    (run,) = _runs(store, spec, "trial")
    assert [point.step for point in _history(store, run, "val/accuracy")] == [1, 2, 3, 4]
    assert run.info.status == "FINISHED"


def test_epochs_trained_again_by_a_later_attempt_are_not_written_again(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord
) -> None:
    mirror.mirror(make_record(0, 3))
    continued = make_record(0, 5, attempt=1, later=50.0)
    Mirror(store, spec, ORIGIN).mirror(continued)
    (run,) = _runs(store, spec, "trial")
    assert [point.step for point in _history(store, run, "val/accuracy")] == [1, 2, 3, 4, 5]
    assert run.data.tags["attempt"] == "1"


@pytest.mark.parametrize("same_process", [True, False])
def test_an_epoch_that_is_trained_again_with_another_value_closes_the_run(
    mirror: Mirror,
    store: TrackingStore,
    spec: StudySpec,
    make_record: MakeRecord,
    same_process: bool,
) -> None:
    mirror.mirror(make_record(0, 3))
    mirror.mirror(make_record(1, 2))
    again = mirror if same_process else Mirror(store, spec, ORIGIN)
    other = make_record(0, 2, attempt=1, loss=2.5, later=50.0)
    kept = make_record(0, 1).history  # the checkpoint has the first epoch
    other = replace(other, history=(*kept, *other.history[1:]))
    again.mirror(other)
    again.mirror(replace(make_record(0, 4, "COMPLETE", attempt=1, loss=2.5), history=other.history))

    (replaced,) = _runs(store, spec, "replaced")
    assert replaced.info.status == "KILLED"
    assert replaced.data.tags["replaced"] == (
        "epoch 2 was trained again after a failure and had another train/loss"
    )
    assert [point.value for point in _history(store, replaced, "train/loss")] == [2.0, 1.0, 2 / 3]
    first, second = sorted(_runs(store, spec, "trial"), key=lambda run: run.data.tags["number"])
    assert [point.value for point in _history(store, first, "train/loss")] == [2.0, 1.25]
    assert (first.info.status, first.data.tags["attempt"]) == ("FINISHED", "1")
    assert second.data.tags["number"] == "1"

    Mirror(store, spec, ORIGIN).mirror(other)  # a rebuild finds the new run
    assert len(_runs(store, spec, "replaced")) == 1
    assert len(_runs(store, spec, "trial")) == 2


@pytest.mark.parametrize("failing", ["set_terminated", "set_tag", "create_run"])
def test_closing_a_run_is_completed_after_a_failed_request(
    mirror: Mirror,
    store: TrackingStore,
    spec: StudySpec,
    make_record: MakeRecord,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
) -> None:
    mirror.mirror(make_record(0, 3))
    other = make_record(0, 2, attempt=1, loss=2.5)

    def fail(*arguments: object, **options: object) -> None:
        if failing != "set_tag" or arguments[2] == "role":
            raise MlflowException("no answer")

    with monkeypatch.context() as broken:
        broken.setattr(MlflowClient, failing, fail)
        with pytest.raises(MlflowException):
            mirror.mirror(other)
    mirror.mirror(other)
    (replaced,) = _runs(store, spec, "replaced")
    assert replaced.info.status == "KILLED"
    assert "replaced" in replaced.data.tags
    (run,) = _runs(store, spec, "trial")
    assert [point.value for point in _history(store, run, "train/loss")] == [2.5, 1.25]


def test_a_run_that_a_crash_left_without_metrics_is_taken_up(
    mirror: Mirror,
    store: TrackingStore,
    spec: StudySpec,
    make_record: MakeRecord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ConnectionError("the server went away")

    with monkeypatch.context() as broken:
        broken.setattr(MlflowClient, "log_batch", fail)
        with pytest.raises(ConnectionError):
            mirror.mirror(make_record(0, 2))
    assert len(_runs(store, spec, "trial")) == 1
    mirror.mirror(make_record(0, 2))
    (run,) = _runs(store, spec, "trial")
    assert [point.step for point in _history(store, run, "train/loss")] == [1, 2]
    assert run.data.params["mixup.alpha"] == "0.0"


@pytest.mark.parametrize("other_process", [False, True])
@pytest.mark.parametrize("state", ["RUNNING", "COMPLETE"])
def test_a_trial_that_a_killed_driver_left_half_sampled_gets_its_other_parameters(
    mirror: Mirror,
    store: TrackingStore,
    spec: StudySpec,
    make_record: MakeRecord,
    other_process: bool,
    state: str,
) -> None:
    sampled = make_record(4, 2, state)
    mirror.mirror(replace(sampled, parameters={}, state="RUNNING", history=()))
    (run,) = _runs(store, spec, "trial")
    assert "mixup.alpha" not in run.data.params
    (Mirror(store, spec, ORIGIN) if other_process else mirror).mirror(sampled)
    (run,) = _runs(store, spec, "trial")
    assert run.data.params["mixup.alpha"] == str(sampled.parameters["mixup.alpha"])
    assert "fixed/mixup.alpha" not in run.data.params


def test_a_searched_field_that_an_ended_trial_has_not_sampled_is_fixed(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord
) -> None:
    for state in ("RUNNING", "PRUNED"):
        mirror.mirror(replace(make_record(4, 2, state), parameters={}))
        (run,) = _runs(store, spec, "trial")
        fixed = {"fixed/mixup.alpha"} & run.data.params.keys()
        assert fixed == (set() if state == "RUNNING" else {"fixed/mixup.alpha"})


def test_an_ended_run_that_lacks_parameters_gets_them(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord
) -> None:
    ended = make_record(4, 2, "COMPLETE")
    mirror.mirror(replace(ended, parameters={}))
    Mirror(store, spec, ORIGIN).mirror(ended)
    (run,) = _runs(store, spec, "trial")
    assert run.data.params["mixup.alpha"] == str(ended.parameters["mixup.alpha"])


@pytest.fixture
def late_run(monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    """Time out the next creation of a run; the returned function executes it late."""
    create_run = MlflowClient.create_run
    given_up: list[Callable[[], object]] = []

    def create(client: MlflowClient, experiment_id: str, **options: Any) -> Run:
        if not given_up:
            given_up.append(lambda: create_run(client, experiment_id, **options))
            raise TimeoutError("no answer in 20 s")
        return create_run(client, experiment_id, **options)

    monkeypatch.setattr(MlflowClient, "create_run", create)
    return lambda: given_up[0]()


def test_the_run_of_a_trial_that_a_late_server_made_twice_is_there_once_in_the_end(
    mirror: Mirror,
    store: TrackingStore,
    spec: StudySpec,
    make_record: MakeRecord,
    late_run: Callable[[], object],
) -> None:
    with pytest.raises(TimeoutError):
        mirror.mirror(make_record(0, 2))
    mirror.mirror(make_record(0, 2))
    mirror.mirror(make_record(1, 2))
    late_run()
    mirror.mirror(make_record(0, 3, "COMPLETE"))
    assert len(_runs(store, spec, "trial")) == 3
    mirror.finish("finished")
    runs = _runs(store, spec, "trial", "attributes.run_name ASC")
    assert [run.data.tags["number"] for run in runs] == ["0", "1"]
    assert [point.step for point in _history(store, runs[0], "train/loss")] == [1, 2, 3]


@pytest.mark.parametrize("driver", ["goes on", "was killed"])
def test_the_run_of_a_study_that_a_late_server_made_twice_is_there_once_in_the_end(
    store: TrackingStore,
    spec: StudySpec,
    make_record: MakeRecord,
    late_run: Callable[[], object],
    driver: str,
) -> None:
    with pytest.raises(TimeoutError):
        Mirror(store, spec, ORIGIN)
    mirror = Mirror(store, spec, ORIGIN)
    mirror.mirror(make_record(0, 1, "COMPLETE"))
    late_run()
    if driver == "was killed":
        mirror = Mirror(store, spec, ORIGIN)
    mirror.finish("finished")
    (parent,) = _runs(store, spec, "study")
    (child,) = _runs(store, spec, "trial")
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert parent.info.status == "FINISHED"


@dataclass
class FailingRequest:
    """Fails the request of this `number`, from 1; `sizes` are the metrics of each request."""

    number: int = 0
    sizes: list[int] = field(default_factory=list)


@pytest.fixture
def failing_request(monkeypatch: pytest.MonkeyPatch) -> FailingRequest:
    """The store receives the requests into which MLflow's client splits a batch."""
    log_batch: Callable[..., None] = SqlAlchemyStore.log_batch
    failing = FailingRequest()

    def count_and_fail(
        self: SqlAlchemyStore, run_id: str, metrics: Sequence[Metric], **rest: Any
    ) -> None:
        if metrics:
            failing.sizes.append(len(metrics))
            if len(failing.sizes) == failing.number:
                raise ConnectionError("the server went away")
        log_batch(self, run_id, metrics=metrics, **rest)

    monkeypatch.setattr(SqlAlchemyStore, "log_batch", count_and_fail)
    return failing


def _timed(record: TrialRecord, attempt: int) -> TrialRecord:
    """Add the time of each epoch, which is another one in each attempt."""
    history = tuple(
        replace(
            result,
            unix_time=result.unix_time + 50.0 * attempt,
            metrics={**result.metrics, "epoch_seconds": 1.0 + attempt},
        )
        for result in record.history
    )
    return replace(record, history=history)


@pytest.mark.parametrize("same_process", [True, False])
@pytest.mark.parametrize(
    ("experts", "failing", "begins"),
    [(396, 2, False), (1300, 2, False), (1300, 4, False), (1300, 4, True), (2597, 6, False)],
)
def test_a_kill_between_two_requests_leaves_every_metric_of_an_epoch_once_in_the_end(
    store: TrackingStore,
    spec: StudySpec,
    make_record: MakeRecord,
    failing_request: FailingRequest,
    begins: bool,
    same_process: bool,
    experts: int,
    failing: int,
) -> None:
    mirror = Mirror(store, spec, ORIGIN)
    failing_request.number, failing_request.sizes = failing, []
    # an epoch has `experts` + 4 metrics; no checkpoint has one, so that all are trained again
    with pytest.raises(ConnectionError):
        mirror.mirror(_timed(make_record(0, 3, experts=experts), attempt=0))
    again = mirror if same_process else Mirror(store, spec, ORIGIN)
    if begins:  # the record of a trial that begins again has no epoch
        again.mirror(make_record(0, 0, experts=experts, attempt=1))
    again.mirror(_timed(make_record(0, 4, experts=experts, attempt=1), attempt=1))
    again.mirror(_timed(make_record(0, 5, "COMPLETE", experts=experts, attempt=1), attempt=1))
    (run,) = _runs(store, spec, "trial")
    # the first, the last and one metric in each request of an epoch
    names = {f"val/expert_{expert}/ece" for expert in range(0, experts, 250)}
    for metric in ("train/loss", "val/accuracy", "val/ece", "epoch_seconds", *names):
        steps = [point.step for point in _history(store, run, metric)]
        assert sorted(steps) == [1, 2, 3, 4, 5], metric
    assert max(failing_request.sizes) <= 1000
    assert len(run.data.metrics) == experts + 4


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_metrics_that_an_earlier_version_named_otherwise_are_there_once_after_a_kill(
    store: TrackingStore,
    spec: StudySpec,
    make_record: MakeRecord,
    failing_request: FailingRequest,
    failing: int,
) -> None:
    Mirror(store, spec, ORIGIN).mirror(make_record(0, 5))
    failing_request.number, failing_request.sizes = failing, []
    record = make_record(0, 5, experts=500)  # 499 curves of 5 epochs are lacking
    with pytest.raises(ConnectionError):
        Mirror(store, spec, ORIGIN).mirror(record)
    Mirror(store, spec, ORIGIN).mirror(record)
    (run,) = _runs(store, spec, "trial")
    for expert in range(0, 500, 33):
        points = _history(store, run, f"val/expert_{expert}/ece")
        assert [point.step for point in points] == [1, 2, 3, 4, 5]


def test_trials_sort_by_objective_and_filter_by_state(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord
) -> None:
    for number, accuracy in enumerate((0.7, 0.9, 0.8)):
        mirror.mirror(make_record(number, 2, "COMPLETE", accuracy=accuracy))
    mirror.mirror(make_record(3, 1, "FAIL", failure="NonFiniteError: loss is NaN"))
    best_first = _runs(store, spec, "trial", "metrics.`val/accuracy` DESC")
    complete = [run.data.tags["number"] for run in best_first if run.info.status == "FINISHED"]
    assert complete == ["1", "2", "0"]
    (failed,) = (run for run in best_first if run.data.tags["state"] == "FAIL")
    assert failed.info.status == "FAILED"
    assert failed.data.tags["failure"] == "NonFiniteError: loss is NaN"


@pytest.mark.parametrize("is_live", [True, False], ids=["live", "sync"])
def test_no_curve_changes_from_class_to_image_weights(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord, is_live: bool
) -> None:
    """An earlier version trains 10 epochs on an unbalanced split, the present one 10 more."""
    present = {
        "val/accuracy": "val/balanced_accuracy",
        "val/ece": "val/balanced_ece",
        "val/expert_0/ece": "val/expert_0/balanced_ece",
    }
    mirror.mirror(make_record(2, 10, accuracy=0.5))
    record = make_record(2, 20, accuracy=0.5)
    history = [EpochResult(1, record.history[0].unix_time, {"train/loss": 2.0})]  # not validated
    for result in record.history[1:]:
        metrics = {present.get(name, name): value for name, value in result.metrics.items()}
        of_images = dict.fromkeys(present, 0.75) if result.epoch > 10 else {}
        history.append(replace(result, metrics=metrics | of_images))
    continued = Mirror(store, spec, ORIGIN)
    for end in range(11, 21) if is_live else [20]:
        continued.mirror(replace(record, history=tuple(history[:end])))
    continued.mirror(make_record(3, 2))
    (run, new) = _runs(store, spec, "trial", "attributes.run_name ASC")
    for earlier, balanced in present.items():
        assert [point.step for point in _history(store, run, earlier)] == list(range(1, 11))
        points = _history(store, run, balanced)
        assert sorted(point.step for point in points) == list(range(2, 21))
        assert len({point.value for point in points}) == 1
    assert run.data.tags["class_weighted"].endswith("see val/balanced_*")
    assert "class_weighted" not in new.data.tags
    assert new.data.metrics["val/accuracy"] == 0.9
    (parent,) = _runs(store, spec, "study")
    assert "in the runs with this tag" in parent.data.tags["class_weighted"]


def test_a_further_seed_is_a_run_of_its_own(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord
) -> None:
    mirror.mirror(make_record(2, 1, "COMPLETE"))
    mirror.mirror(make_record(2, 1, "COMPLETE", repeat=1))
    names = [run.info.run_name for run in _runs(store, spec, "trial", "attributes.run_name ASC")]
    assert names == ["trial 0002", "trial 0002 repeat 1"]


def test_an_interruption_marks_the_study_and_what_was_running_until_it_continues(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord
) -> None:
    mirror.mirror(make_record(0, 2, "COMPLETE"))
    mirror.mirror(make_record(1, 1))
    mirror.finish("interrupted", description="Continue with `balpoe run x.yaml`.")
    (parent,) = _runs(store, spec, "study")
    statuses = [run.info.status for run in _runs(store, spec, "trial", "attributes.run_name ASC")]
    assert parent.info.status == "KILLED"
    assert parent.data.tags["mlflow.note.content"] == "Continue with `balpoe run x.yaml`."
    assert statuses == ["FINISHED", "KILLED"]

    continued = Mirror(store, spec, ORIGIN)
    continued.mirror(make_record(1, 1))
    assert _runs(store, spec, "study")[0].info.status == "RUNNING"
    statuses = [run.info.status for run in _runs(store, spec, "trial", "attributes.run_name ASC")]
    assert statuses == ["FINISHED", "RUNNING"]


def test_artefacts_go_below_the_runs_directory_and_the_global_uri_is_left_alone(
    mirror: Mirror, store: TrackingStore, spec: StudySpec
) -> None:
    experiment = MlflowClient(tracking_uri=store.tracking_uri).get_experiment_by_name(spec.name)
    assert experiment is not None
    assert store.artifact_root is not None
    assert experiment.artifact_location == (store.artifact_root / spec.name).as_uri()
    assert mlflow.get_tracking_uri() != store.tracking_uri


def test_the_first_start_makes_its_store_without_a_word_and_only_below_runs(
    first_start: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    directory, process = first_start
    assert process.stderr == ""
    assert process.stdout == "MirrorReport(missed=0, error=None)\n"
    assert [path.name for path in directory.iterdir()] == ["runs"]
    assert (directory / "runs" / "mlflow.db").exists()


def test_records_reach_the_store_through_the_thread(
    store: TrackingStore, spec: StudySpec, make_record: MakeRecord
) -> None:
    writer = start_mirror(store, spec, ORIGIN)
    for epochs in range(1, 6):
        writer.submit(make_record(0, epochs))
    writer.submit(make_record(0, 5, "COMPLETE"))
    report = writer.close("finished", description="the front")
    (parent,) = _runs(store, spec, "study")
    (run,) = _runs(store, spec, "trial")
    assert report.missed == 0
    assert parent.info.status == run.info.status == "FINISHED"
    assert parent.data.tags["mlflow.note.content"] == "the front"
    assert [point.step for point in _history(store, run, "val/ece")] == [1, 2, 3, 4, 5]
