"""What all trials together add to a study's pages in MLflow, read back from a SQLite store."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from balpoe.config import StudySpec
from balpoe.study.trials.record import TrialRecord
from balpoe.tracking.logged_figures import log_study_figures, log_trial_figures
from balpoe.tracking.mirror import Mirror
from balpoe.tracking.run_data import Origin, StudyFileCommit
from balpoe.tracking.shared_view import KIND, KIND_TAG, TAG, TRIALS_FILTER, view_state
from balpoe.tracking.tracking_store import TrackingStore, local_store
from tests.tracking.conftest import START

MakeRecord = Callable[..., TrialRecord]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TrackingStore:
    return local_store(tmp_path_factory.mktemp("pages") / "runs")


@pytest.fixture
def mirror(store: TrackingStore, spec: StudySpec) -> Mirror:
    launches = (StudyFileCommit(0.0, "5badc0de"), StudyFileCommit(START + 1000, "0ddba11"))
    return Mirror(store, spec, Origin("ada", "c0ffee", launches), class_counts=_counts)


def _counts(record: TrialRecord) -> dict[str, int]:
    return {"one": 100, "two": 5}


def _with_objectives(record: TrialRecord, accuracy: float, ece: float) -> TrialRecord:
    history = tuple(
        replace(
            result,
            metrics={**result.metrics, "val/accuracy": accuracy, "val/ece": ece}
            | {"val/balanced_accuracy": accuracy, "val/balanced_ece": ece, "epoch_seconds": 1800.0},
        )
        for result in record.history
    )
    return replace(record, history=history, objectives={"val/accuracy": accuracy, "val/ece": ece})


def _trials(store: TrackingStore, spec: StudySpec, order: str = "") -> list[Run]:
    client = MlflowClient(tracking_uri=store.tracking_uri)
    experiment = client.get_experiment_by_name(spec.name)
    assert experiment is not None
    order_by = [order] if order else None
    return list(client.search_runs([experiment.experiment_id], TRIALS_FILTER, order_by=order_by))


def _parent(store: TrackingStore, spec: StudySpec) -> Run:
    client = MlflowClient(tracking_uri=store.tracking_uri)
    experiment = client.get_experiment_by_name(spec.name)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "tags.role = 'study'")
    return run


OBJECTIVES = ((0.8, 0.05), (0.9, 0.10), (0.7, 0.06), (0.85, 0.20), (0.6, 0.3))


def test_no_dominated_trial_is_ranked_before_one_that_dominates_it(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord
) -> None:
    for number, (accuracy, ece) in enumerate(OBJECTIVES):
        record = make_record(number, 2, "COMPLETE")
        mirror.mirror(_with_objectives(record, accuracy, ece))
        mirror.summarise()
    mirror.mirror(make_record(5, 1, "FAIL", failure="NonFiniteError"))
    mirror.finish("finished")
    runs = _trials(store, spec, "tags.`rank` ASC")
    assert [run.data.tags["number"] for run in runs] == ["1", "0", "3", "2", "4", "5"]
    assert [run.data.tags.get("front") for run in runs] == ["0", "0", "1", "1", "2", None]


def test_only_changed_places_are_written(
    mirror: Mirror,
    store: TrackingStore,
    spec: StudySpec,
    make_record: MakeRecord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(20):
        better = _with_objectives(make_record(number, 1, "COMPLETE"), 0.5 + number / 100, 0.05)
        mirror.mirror(better)
    assert mirror.summarise(most=None)
    requests: list[str] = []
    log_batch = MlflowClient.log_batch

    def counted(client: MlflowClient, run_id: str, **batch: Any) -> None:
        if any(batch.values()):  # MLflow sends no request for an empty batch
            requests.append(run_id)
        log_batch(client, run_id, **batch)

    monkeypatch.setattr(MlflowClient, "log_batch", counted)
    mirror.summarise()
    assert requests == []
    # the new first one moves all others: at most ten are written at once, the first ones first
    mirror.mirror(_with_objectives(make_record(20, 1, "COMPLETE"), 0.95, 0.01))
    requests.clear()
    assert not mirror.summarise()
    assert len(requests) == 1 + 10
    first, second, *_ = _trials(store, spec, "tags.`rank` ASC")
    assert (first.data.tags["number"], first.data.tags["rank"]) == ("20", "0001")
    assert second.data.tags["number"] == "19"
    mirror.finish("finished")
    again = Mirror(store, spec, Origin())
    requests.clear()
    for number in range(20):
        better = _with_objectives(make_record(number, 1, "COMPLETE"), 0.5 + number / 100, 0.05)
        again.mirror(better)
    again.mirror(_with_objectives(make_record(20, 1, "COMPLETE"), 0.95, 0.01))
    again.finish("finished")
    assert requests == []


def test_a_trial_has_mean_and_sd_over_seeds_once_a_repeat_has_ended(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord
) -> None:
    for repeat, accuracy in enumerate((0.80, 0.90)):
        record = make_record(0, 2, "COMPLETE", repeat=repeat)
        mirror.mirror(_with_objectives(record, accuracy, 0.1))
        mirror.summarise()
        (run,) = _trials(store, spec)
        assert ("seeds/val/accuracy/sd" in run.data.metrics) == (repeat == 1)
    assert run.data.metrics["seeds/n"] == 2
    assert run.data.metrics["seeds/val/accuracy/mean"] == pytest.approx(0.85)
    assert run.data.metrics["seeds/val/accuracy/sd"] == pytest.approx(0.0707106781)
    assert run.data.metrics["seeds/val/balanced_ece/sd"] == 0


def test_the_run_of_a_study_has_parameters_and_metrics_over_finished_trials(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord
) -> None:
    records = [
        _with_objectives(make_record(number, 2, "COMPLETE"), *values)
        for number, values in enumerate(OBJECTIVES)
    ]
    records.append(make_record(5, 1, "FAIL", failure="NonFiniteError"))
    for record in records:
        mirror.mirror(record)
        mirror.summarise()
    mirror.finish("finished")
    parent = _parent(store, spec)
    assert parent.data.params["objectives"] == "maximize val/accuracy, minimize val/ece"
    expected = {"data.name": "digits_lt", "budget.trials": "4", "sampler.name": "tpe"}
    assert expected.items() <= parent.data.params.items()
    assert "mixup.alpha" not in parent.data.params
    assert parent.data.metrics["best/val/accuracy"] == 0.9
    assert parent.data.metrics["best/val/ece"] == 0.05
    assert parent.data.metrics["trials/done"] == 5
    assert parent.data.metrics["trials/failed"] == 1
    assert parent.data.metrics["device_hours"] == pytest.approx(5 * 2 * 0.5)
    # reference (-0.6, 0.3): 0.2 × 0.25 of the first trial, and 0.1 × 0.2 more of the second
    assert parent.data.metrics["hypervolume"] == pytest.approx(0.2 * 0.25 + 0.1 * 0.2)
    client = MlflowClient(tracking_uri=store.tracking_uri)

    def history() -> list[tuple[int, float]]:
        points = client.get_metric_history(parent.info.run_id, "best/val/accuracy")
        return [(point.step, point.value) for point in points]

    live = history()
    assert live == [(1, 0.8), (2, 0.9), (3, 0.9), (4, 0.9), (5, 0.9), (6, 0.9)]
    again = Mirror(store, spec, Origin())
    for record in records:
        again.mirror(record)
    again.finish("finished")
    assert history() == live


def test_a_trial_has_all_its_parameters_its_data_and_its_configuration(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord, tmp_path: Path
) -> None:
    for _ in range(2):
        mirror.mirror(make_record(1, 2, "COMPLETE"))
    (run,) = _trials(store, spec)
    assert run.data.params["mixup.alpha"] == "0.25"
    assert run.data.params["fixed/model.backbone"] == spec.base.model.backbone
    assert run.data.tags["study_commit"] == "5badc0de"
    assert _parent(store, spec).data.tags["study_commit"] == "0ddba11"
    assert run.inputs is not None
    [data] = [found.dataset for found in run.inputs.dataset_inputs]
    assert (data.name, data.digest) == ("digits_lt", "0123")
    assert json.loads(data.profile or "") == {
        "fingerprint": "sha256:0123",
        "class_counts": {"one": 100, "two": 5},
    }
    client = MlflowClient(tracking_uri=store.tracking_uri)
    file = client.download_artifacts(run.info.run_id, "configuration.yaml", str(tmp_path))
    assert yaml.safe_load(Path(file).read_text())["mixup"]["alpha"] == 0.25


def test_figures_are_artifacts_and_images_of_the_grid_and_logging_again_replaces_them(
    mirror: Mirror, store: TrackingStore, spec: StudySpec, make_record: MakeRecord, tmp_path: Path
) -> None:
    record = make_record(1, 2, "COMPLETE")
    mirror.mirror(record)
    report = tmp_path / "page.html"
    report.write_text("<p>all</p>")
    client = MlflowClient(tracking_uri=store.tracking_uri)
    for colour in ("red", "blue"):
        png = io.BytesIO()
        Image.new("RGB", (300, 200), colour).save(png, "PNG")
        assert log_study_figures(store, spec.name, {"front": png.getvalue()}, report)
        assert log_trial_figures(store, record.identity, {"reliability": png.getvalue()}, "5a")
    for run, figure in ((_parent(store, spec), "front"), (_trials(store, spec)[0], "reliability")):
        run_id = run.info.run_id
        assert run.data.tags["mlflow.loggedImages"] == "True"
        (file,) = client.list_artifacts(run_id, "figures")
        assert file.path == f"figures/{figure}.png"
        grid = [found.path for found in client.list_artifacts(run_id, "images")]
        assert len(grid) == 2
        assert all(path.startswith(f"images/{figure}+step+0+timestamp+0+") for path in grid)
        with Image.open(client.download_artifacts(run_id, file.path, str(tmp_path))) as image:
            assert image.getpixel((0, 0)) == (0, 0, 255)
    names = {found.path for found in client.list_artifacts(_parent(store, spec).info.run_id)}
    assert names == {"figures", "images", "report.html"}
    assert not log_study_figures(store, "no such study", {})


def test_the_view_has_the_searched_fields_and_the_objectives_and_fits_a_tag(
    mirror: Mirror, store: TrackingStore, spec: StudySpec
) -> None:
    experiment = MlflowClient(tracking_uri=store.tracking_uri).get_experiment_by_name(spec.name)
    assert experiment is not None
    assert experiment.tags[KIND_TAG] == KIND
    assert len(experiment.tags[TAG]) < 5000
    state = view_state(experiment.tags[TAG])
    assert state["selectedColumns"][:6] == [
        "tags.`front`",
        "tags.`known_point`",
        "tags.`state`",
        "params.`mixup.alpha`",
        "metrics.`val/accuracy`",
        "metrics.`seeds/val/accuracy/sd`",
    ]
    assert (state["orderByKey"], state["orderByAsc"]) == ("tags.`rank`", True)
    scatter, *_, parallel = state["compareRunCharts"]
    assert scatter["xaxis"]["key"] == "val/balanced_accuracy"
    assert scatter["yaxis"]["key"] == "val/balanced_ece"
    assert parallel["selectedParams"] == ["mixup.alpha"]
    assert parallel["selectedMetrics"] == ["val/accuracy", "val/ece"]
