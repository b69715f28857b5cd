"""Studies, an export and a model of the version whose `val/accuracy` weighted classes.

`tests/fixtures/0.1.0-99a681c/README.txt` says how they were made.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from mlflow import MlflowClient
from torch import Tensor

import balpoe
from balpoe.config import Constraint, StudySpec, metrics
from balpoe.config.earlier_names import converted_metrics
from balpoe.config.metrics import metric
from balpoe.data import load_search_splits
from balpoe.errors import UserError
from balpoe.evaluation.predictions import Predictions as ScoredPredictions
from balpoe.files import load_study
from balpoe.launch.check import check
from balpoe.launch.doctor import doctor
from balpoe.launch.export import export
from balpoe.launch.run import run
from balpoe.launch.runs import find_study, local_runs
from balpoe.launch.status import status
from balpoe.launch.study_file import load_with_absolute_paths, refuse_changes_since_last_launch
from balpoe.launch.sync import sync
from balpoe.launch.warm_start_studies import warm_start_studies
from balpoe.study.object_store.remote_directory import RemoteDirectory
from balpoe.study.records.record_store import RecordStore
from balpoe.study.selection.front import ordered_front
from balpoe.study.trials import earlier_records, metrics_file
from balpoe.study.trials.earlier_records import is_validation_balanced
from balpoe.training.predictions_file import (
    Predictions,
    label_counts,
    read_predictions,
    write_predictions,
)
from tests.launch.earlier_study import FIXTURES, EarlierStudy

VERSION, MADE_IN = "0.1.0-99a681c", "/work/tmp/names"
PRESENT = (
    ("val/accuracy: maximize", "val/balanced_accuracy: maximize"),
    ("val/ece: minimize", "val/balanced_ece: minimize"),
    ("val/nll:", "val/balanced_nll:"),
)
OBJECTIVES = {"val/balanced_accuracy": "maximize", "val/balanced_ece": "minimize"}


class S3Server(Protocol):
    def names(self, below: str = "") -> set[str]: ...


def write_present_names(study: EarlierStudy) -> StudySpec:
    text = study.file.read_text()
    for earlier, present in PRESENT:
        assert earlier in text
        text = text.replace(earlier, present)
    study.file.write_text(text)
    return find_study(study.name, study.runs)[0]


@pytest.fixture
def natural(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EarlierStudy:
    """A study on a natural tail: its validation split has 10, 6 and 2 images."""
    study = EarlierStudy(VERSION, MADE_IN, "natural", tmp_path)
    monkeypatch.chdir(study.home)
    return study


@pytest.fixture
def balanced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EarlierStudy:
    """A study on a balanced validation split."""
    study = EarlierStudy(VERSION, MADE_IN, "balanced", tmp_path)
    monkeypatch.chdir(study.home)
    return study


def _unmeasured(*given: object) -> None:
    raise UserError("not measured")


def _children(study: EarlierStudy) -> dict[str, dict[str, float]]:
    client = MlflowClient(f"sqlite:///{study.runs / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(study.name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.role = 'trial'")
    return {run.data.tags["number"]: dict(run.data.metrics) for run in runs}


def test_values_of_an_unbalanced_split_are_read_by_their_present_names(
    natural: EarlierStudy,
) -> None:
    spec, directory = find_study("natural", natural.runs)
    assert spec.objectives == OBJECTIVES
    assert spec.constraints == {"val/balanced_nll": Constraint(at_most=1.2)}
    first, second, running = RecordStore(spec, directory).records()
    for record in (first, second):
        last = record.history[-1].metrics
        assert record.objectives == {name: last[name] for name in OBJECTIVES}
        for name in ("accuracy", "ece", "mce", "nll"):
            for scorer in ("val", "val/expert_0", "val/expert_1"):
                assert f"{scorer}/{name}" not in last
                assert f"{scorer}/balanced_{name}" in last
        assert "val/forward_10/accuracy" in last
    assert first.objectives is not None
    assert first.objectives["val/balanced_accuracy"] == pytest.approx(5 / 6)
    assert running.state == "RUNNING"
    assert "val/balanced_accuracy" in running.history[9].metrics
    assert [trial.identity.number for trial in ordered_front([first, second], spec.objectives)] == [
        1
    ]
    assert status("natural", runs=natural.runs).spec == spec


def test_the_unchanged_file_is_refused_with_the_lines_to_write(
    natural: EarlierStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError) as refused:
        run(natural.file, runs=natural.runs)
    lines = str(refused.value).splitlines()
    assert "val/accuracy, val/ece, val/nll" in lines[0]
    assert [line.strip() for line in lines[1:]] == [
        "objectives: {val/balanced_accuracy: maximize, val/balanced_ece: minimize}",
        "constraints: {val/balanced_nll: {at_most: 1.2}}",
    ]
    monkeypatch.setattr("balpoe.launch.check.study_cost", _unmeasured)
    problem, _ = check(natural.file, runs=natural.runs).problems
    assert problem == str(refused.value)
    write_present_names(natural)
    now = load_with_absolute_paths(natural.file)
    refuse_changes_since_last_launch(natural.directory, now, "natural.yaml")


@pytest.mark.parametrize("section", ["objectives", "constraints"])
def test_a_metric_of_another_package_may_have_other_weights_and_is_refused(
    natural: EarlierStudy, section: str
) -> None:
    @metric("brier", label="Brier")
    def brier(predictions: ScoredPredictions) -> Tensor:
        raise NotImplementedError

    try:
        earlier = "val/ece: min" if section == "objectives" else "val/nll:"
        new = "val/brier: min" if section == "objectives" else "val/brier:"
        for file in (natural.file, natural.directory.specification):
            file.write_text(file.read_text().replace(earlier, new))
        now = load_with_absolute_paths(natural.file)
        with pytest.raises(UserError, match=r"val/brier weighted all classes.* another name"):
            refuse_changes_since_last_launch(natural.directory, now, "natural.yaml")
    finally:
        del metrics._METRICS["brier"]


def test_a_study_that_names_a_metric_twice_is_refused(natural: EarlierStudy) -> None:
    file = natural.directory.specification
    file.write_text(file.read_text().replace("val/ece: min", "val/balanced_accuracy: max"))
    with pytest.raises(UserError, match="val/accuracy and val/balanced_accuracy"):
        find_study("natural", natural.runs)


def test_the_running_trial_is_resumed_and_its_history_has_the_present_names(
    natural: EarlierStudy,
) -> None:
    spec = write_present_names(natural)
    objectives = natural.resume(spec)
    record = RecordStore(spec, natural.directory).records()[2]
    assert (record.state, record.identity.attempt) == ("COMPLETE", 2)
    assert [result.epoch for result in record.history] == list(range(1, 41))
    before, after = record.history[9].metrics, record.history[-1].metrics
    assert "val/balanced_accuracy" in before
    assert "val/accuracy" not in before
    assert {"val/balanced_accuracy", "val/accuracy"} <= after.keys()
    assert record.objectives == objectives == {name: after[name] for name in OBJECTIVES}
    [exported] = export("natural", runs=natural.runs).exports
    assert set(exported.evidence.objectives) == set(OBJECTIVES)
    assert exported.evidence.ordered_by == "val/balanced_accuracy"


def test_mlflow_keeps_the_earlier_names_and_sync_writes_the_present_ones(
    natural: EarlierStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_present_names(natural)
    with monkeypatch.context() as patch:  # what the earlier version has mirrored
        patch.setattr(metrics_file, "converted_metrics", lambda metrics, is_balanced: metrics)
        patch.setattr("balpoe.launch.sync.ordered_front", lambda records, objectives: ())
        sync("natural", runs=natural.runs)
    earlier = _children(natural)
    sync("natural", runs=natural.runs)
    present = _children(natural)
    for number, mirrored in present.items():
        assert earlier[number].items() <= mirrored.items()
        assert mirrored["val/balanced_ece"] == earlier[number]["val/ece"]
    faults = [fault for found in doctor("natural", runs=natural.runs) for fault in found.faults]
    assert faults == []


def test_export_by_an_earlier_name_says_what_it_is_called_now(natural: EarlierStudy) -> None:
    with pytest.raises(UserError) as refused:
        export("natural", runs=natural.runs, prefer="val/accuracy - val/balanced_ece")
    assert str(refused.value).splitlines()[-1] == (
        "there is no metric val/accuracy (an earlier version's val/accuracy weighted classes: it "
        "is val/balanced_accuracy now)"
    )


def test_a_new_study_learns_from_an_earlier_one_by_the_present_names(
    natural: EarlierStudy,
) -> None:
    spec = write_present_names(natural)
    fingerprint = load_search_splits(spec.base.data).description.fingerprint
    new = replace(spec, name="new", warm_start=("natural",))
    [earlier] = warm_start_studies(new, natural.runs, fingerprint)
    assert [trial.number for trial in earlier.trials] == [0, 1]
    assert set(earlier.trials[0].objectives) == set(OBJECTIVES)
    assert set(earlier.trials[0].excesses) == {"val/balanced_nll <= 1.2"}
    other = replace(new, objectives={"val/accuracy": "maximize"})
    hint = "weighted classes: it is val/balanced_{0} now"
    with pytest.raises(UserError, match="lacks the objective val/accuracy") as refused:
        warm_start_studies(other, natural.runs, fingerprint)
    assert f"(an earlier version's val/accuracy {hint.format('accuracy')})" in str(refused.value)
    other = replace(new, constraints={"val/nll": Constraint(at_most=1.2)})
    with pytest.raises(UserError, match="val/nll, which is constrained here") as refused:
        warm_start_studies(other, natural.runs, fingerprint)
    assert f"(an earlier version's val/nll {hint.format('nll')})" in str(refused.value)


@pytest.mark.slow  # logs a model to MLflow
def test_the_earlier_export_is_trained(natural: EarlierStudy) -> None:
    exported = natural.directory.exports / "rank_1_trial_0001.yaml"
    trained = balpoe.train(exported, (1,), runs=natural.runs)
    (seed,) = balpoe.evaluate(trained.path)
    scalars = seed.rows[0].scalars()
    assert scalars["test/ece"] != scalars["test/balanced_ece"]


def test_the_earlier_model_is_evaluated_and_predicts(natural: EarlierStudy) -> None:
    (earlier,) = balpoe.evaluate(natural.model)
    before = json.loads((natural.model / "metrics.json").read_text())["final"]
    scalars = earlier.rows[0].scalars()
    assert scalars["test/ece"] != scalars["test/balanced_ece"]
    same = before.keys() & scalars.keys()
    assert {"test/accuracy", "test/ece", "test/nll"} <= same
    # the earlier version scored in bfloat16
    assert {name: scalars[name] for name in same} == pytest.approx(
        {name: before[name] for name in same}, abs=0.05
    )
    out = natural.home / "predictions.parquet"
    report = balpoe.predict(natural.model, [natural.home / "data/test.parquet"], out=out)
    assert out.is_file()
    assert report.images == 44


def test_on_a_balanced_split_both_names_have_the_value_and_the_file_is_accepted(
    balanced: EarlierStudy,
) -> None:
    spec, directory = find_study("balanced", balanced.runs)
    assert spec == load_study(directory.specification)
    refuse_changes_since_last_launch(directory, spec, "balanced.yaml")
    for record in RecordStore(spec, directory).records():
        last = record.history[-1].metrics
        assert record.objectives == {name: last[name] for name in spec.objectives}
        for name in ("accuracy", "ece", "mce", "nll"):
            assert last[f"val/{name}"] == last[f"val/balanced_{name}"]
    [exported] = export("balanced", runs=balanced.runs).exports
    assert exported.evidence.trial == 1


def test_a_balance_that_only_the_data_show_is_recorded_by_the_next_launch(
    balanced: EarlierStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for predictions in balanced.directory.path.rglob("predictions.parquet"):
        predictions.unlink()
    spec, directory = find_study("balanced", balanced.runs)
    assert spec.objectives == OBJECTIVES  # right on every split
    monkeypatch.setattr("balpoe.launch.run._launch", lambda *given: (_ for _ in ()).throw(Launched))
    with pytest.raises(Launched):
        run(balanced.file, runs=balanced.runs)
    assert json.loads(directory.validation_split.read_text()) == {"balanced": True}
    assert find_study("balanced", balanced.runs)[0].objectives == {
        "val/accuracy": "maximize",
        "val/ece": "minimize",
    }


def test_missing_or_empty_predictions_leave_the_balance_to_other_files(
    balanced: EarlierStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = sorted(balanced.directory.path.rglob("predictions.parquet"))
    written = read_predictions(first)
    empty = Predictions(written.logits_nec[:0], written.labels_n[:0])
    for file in (first, second):
        write_predictions(file, empty)
    assert is_validation_balanced(balanced.directory) is None
    with monkeypatch.context() as patch:  # a file that is deleted after it was found
        patch.setattr(earlier_records, "label_counts", lambda path: None)
        assert is_validation_balanced(balanced.directory) is None
    first_found, _ = balanced.directory.path.glob("trials/*/repeat_*/predictions.parquet")
    write_predictions(second if first_found == first else first, written)
    assert is_validation_balanced(balanced.directory) is True


def test_the_balance_is_read_once_for_all_trials(
    balanced: EarlierStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []

    def counted(path: Path) -> tuple[int, ...] | None:
        reads.append(path)
        return label_counts(path)

    monkeypatch.setattr(earlier_records, "label_counts", counted)
    spec, directory = find_study("balanced", balanced.runs)
    records = RecordStore(spec, directory).records()
    assert len(records) > 1
    assert len(reads) == 1
    shutil.rmtree(directory.path)  # another study of the same name
    shutil.copytree(FIXTURES / VERSION / "natural" / "study", directory.path)
    assert is_validation_balanced(directory) is False


def test_the_balance_of_a_study_on_an_object_store_is_that_of_its_predictions(
    balanced: EarlierStudy, bucket: S3Server
) -> None:
    store = RemoteDirectory("s3://studies/team/balanced")
    for file in balanced.directory.path.rglob("*"):
        if file.is_file():
            store.write(file.relative_to(balanced.directory.path).as_posix(), file.read_bytes())
    runs = local_runs("s3://studies/team")
    spec, directory = find_study("balanced", runs)
    assert spec.objectives == {"val/accuracy": "maximize", "val/ece": "minimize"}
    assert len(list(directory.path.rglob("predictions.parquet"))) == 1
    fingerprint = load_search_splits(spec.base.data).description.fingerprint
    new = replace(spec, name="new", warm_start=("balanced",))
    [earlier] = warm_start_studies(new, runs, fingerprint)
    assert set(earlier.trials[0].objectives) == set(spec.objectives)


class Launched(Exception):
    """The launch began."""


def test_what_is_converted_and_what_keeps_its_name() -> None:
    metrics = {
        "val/accuracy": 0.5,
        "val/balanced_accuracy": 0.5 + 1e-16,
        "val/expert_10/mce": 0.25,
        "val/forward_10/accuracy": 0.75,
        "val/accuracy_few": 0.125,
        "train/loss": 1.0,
    }
    kept = {name: metrics[name] for name in list(metrics)[3:]}
    present = {"val/balanced_accuracy": 0.5, "val/expert_10/balanced_mce": 0.25, **kept}
    assert converted_metrics(metrics, is_balanced=False) == present
    earlier = {"val/accuracy": 0.5, "val/expert_10/mce": 0.25}
    assert converted_metrics(metrics, is_balanced=True) == {**earlier, **present}


@pytest.mark.slow  # a launch with Ray
def test_a_launch_finishes_an_earlier_study(natural: EarlierStudy) -> None:
    write_present_names(natural)
    natural.file.write_text(natural.file.read_text().replace("trials: 7", "trials: 4"))
    outcome = run(natural.file, runs=natural.runs)
    assert [record.state for record in outcome.records].count("RUNNING") == 0
    assert len(outcome.records) == 4
    faults = [fault for found in doctor("natural", runs=natural.runs) for fault in found.faults]
    assert faults == []
