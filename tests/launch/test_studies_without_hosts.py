"""A study, an export and a model of the version that stored no hosts and no estimated priors.

`tests/fixtures/0.1.0-e263dee/README.txt` says how they were made.
"""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import balpoe
from balpoe.config import BudgetConfig, with_parameters
from balpoe.data import load_test_images
from balpoe.evaluation.summarising import prediction_summary
from balpoe.files import dump_study
from balpoe.launch.doctor import doctor
from balpoe.launch.export import export
from balpoe.launch.runs import find_study
from balpoe.launch.sync import sync
from balpoe.reporting.figures.course_figures import timeline
from balpoe.reporting.figures.distribution_figure import distribution_results
from balpoe.study.records.record_store import RecordStore
from balpoe.training.loss_context import expert_priors, scalar_lambdas
from balpoe.training.model_directory import load_model
from balpoe.training.predictions_file import read_predictions
from balpoe.training.stored_results import read_results
from balpoe.training.summary_file import read_summary, write_summary
from tests.launch.earlier_study import EarlierStudy
from tests.method.summary_values import flat_values

VERSION, MADE_IN = "0.1.0-e263dee", "/work/tmp/hosts"


@pytest.fixture
def balanced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EarlierStudy:
    study = EarlierStudy(VERSION, MADE_IN, "balanced", tmp_path)
    monkeypatch.chdir(study.home)
    return study


def test_it_is_continued_synchronised_and_exported(balanced: EarlierStudy) -> None:
    spec, directory = find_study("balanced", balanced.runs)
    before = RecordStore(spec, directory).records()
    spec = replace(spec, budget=BudgetConfig(trials=3))
    directory.specification.write_text(dump_study(spec))
    balanced.resume(spec)
    records = RecordStore(spec, directory).records()
    assert records[:2] == before
    assert [record.state for record in records] == ["COMPLETE"] * 3
    hosts = [[attempt.host for attempt in record.attempts] for record in records]
    assert hosts == [[], [], [socket.gethostname()]]
    drawing = timeline(records)
    assert drawing is not None
    names = {label.get_text() for label in drawing.figure.axes[0].get_yticklabels()}
    assert names == {"not recorded", socket.gethostname()}
    sync("balanced", runs=balanced.runs)
    assert [f for found in doctor("balanced", runs=balanced.runs) for f in found.faults] == []
    export("balanced", runs=balanced.runs)
    assert list(directory.exports.glob("rank_1_*.yaml"))


def test_the_summaries_of_stored_predictions_have_the_numbers_of_then(
    balanced: EarlierStudy, tmp_path: Path
) -> None:
    """They are stored with 7 digits."""
    spec, directory = find_study("balanced", balanced.runs)
    for record in RecordStore(spec, directory).records():
        files = directory.trial(record.identity)
        predictions, stored = read_predictions(files.predictions), read_summary(files.summary)
        configuration = with_parameters(spec.base, record.parameters)
        summary = prediction_summary(
            torch.from_numpy(predictions.logits_nec),
            torch.from_numpy(predictions.labels_n.copy()),
            split="val",
            class_names=stored.class_names,
            class_counts=stored.train_counts_c,
            priors=expert_priors(configuration, stored.train_counts_c),
            lambdas=scalar_lambdas(configuration),
            metrics=tuple(spec.objectives),
        )
        now, then = flat_values(summary), flat_values(stored)
        assert now.keys() == then.keys()
        assert now == pytest.approx(then, rel=5.1e-7, abs=1e-12, nan_ok=True)
        write_summary(tmp_path / "summary.json", summary)
        assert flat_values(read_summary(tmp_path / "summary.json")).keys() == then.keys()


def test_the_export_is_trained(balanced: EarlierStudy) -> None:
    exported = balanced.directory.exports / "rank_1_trial_0000.yaml"
    trained = balpoe.train(exported, (1,), runs=balanced.runs)
    (path,) = trained.models
    before, after = read_results(balanced.model), read_results(path)
    assert before.metrics.keys() < after.metrics.keys()
    added = after.metrics.keys() - before.metrics.keys()
    assert {name.split("/")[0].endswith("_estimated_prior") for name in added} == {True}
    same = {name: after.metrics[name] for name in before.metrics}
    assert same == pytest.approx(dict(before.metrics), abs=0.02)


def test_the_model_is_evaluated_drawn_and_used(balanced: EarlierStudy) -> None:
    results = read_results(balanced.model)
    assert results.no_estimated_prior is None
    drawing = distribution_results(results.metrics, "balanced")
    assert drawing is not None
    labels = {line.get_label() for line in drawing.figure.axes[0].get_lines()}
    assert {"prior unknown", "prior known"} <= labels
    assert "prior estimated" not in labels
    (evaluated,) = balpoe.evaluate(balanced.model, post_hoc=True)
    scalars = evaluated.rows[0].scalars()
    same = {name: results.metrics[name] for name in scalars}
    assert scalars == pytest.approx(same)
    assert any(row.prior == "estimated" and row.metrics for row in evaluated.post_hoc)
    test = load_test_images(find_study("balanced", balanced.runs)[0].base.data)
    folder = balanced.home / "images"
    folder.mkdir()
    (batch_bhwd,) = test.in_order(len(test))
    for n, image_hwd in enumerate(batch_bhwd[:20].numpy()):
        Image.fromarray(image_hwd.squeeze()).save(folder / f"{n:03}.png")
    report = balpoe.predict(balanced.model, [folder], out=balanced.home / "predictions.parquet")
    assert report.images == 20
    logits_nec = load_model(balanced.model).predict(test, torch.device("cpu"))[:20]
    predicted_n = logits_nec.mean(dim=1).argmax(dim=-1)
    assert list(report.predicted_counts) == torch.bincount(predicted_n, minlength=10).tolist()
