"""Test metrics with an estimated prior that a training stores, against `evaluate --post-hoc`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from balpoe.config import Configuration, ExpertsConfig, ModelConfig, TrainingConfig
from balpoe.config.data import DataSource
from balpoe.config.shifts import SHIFTS, WHOLE_TEST, metric_prefix
from balpoe.data import load_final_splits, load_search_splits
from balpoe.data.sources.gaussian_lt import GaussianLT
from balpoe.data.splits import FinalSplits, ImageSet
from balpoe.launch.evaluate import evaluate
from balpoe.reporting.figures.distribution_figure import distribution_results
from balpoe.training.estimated_priors import estimated_prior_results
from balpoe.training.final_training import FinalTraining, train_final
from balpoe.training.model_directory import TrainedModel, load_model
from balpoe.training.stored_results import StoredResults, read_results

CUT = GaussianLT(imbalance_ratio=20, head_count=100, validation_per_class=10, test_per_class=60)
SMALL = GaussianLT(classes=3, head_count=20, validation_per_class=4, test_per_class=60)


def trained(path: Path, data: DataSource, splits: FinalSplits | None = None) -> StoredResults:
    configuration = Configuration(
        data=data,
        model=ModelConfig(backbone="resnet8"),
        experts=ExpertsConfig(count=2),
        training=TrainingConfig(epochs=3, batch_size=32, precision="float32"),
    )
    train_final(
        FinalTraining(configuration, seed=0, path=path, balpoe_version="1.2.3"),
        splits or load_final_splits(data),
        torch.device("cpu"),
        lambda result: None,
    )
    return read_results(path)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredResults:
    """A model of a cut set, whose validation images are not trained on."""
    return trained(tmp_path_factory.mktemp("estimated") / "model", CUT)


def held_out_of(model: TrainedModel) -> tuple[torch.Tensor, torch.Tensor]:
    predictions = model.held_out_predictions()
    assert predictions is not None
    return torch.from_numpy(predictions.logits_nec), torch.from_numpy(predictions.labels_n.copy())


def estimated(results: StoredResults) -> dict[str, float]:
    return {name: v for name, v in results.metrics.items() if "_estimated_prior/" in name}


def test_a_training_stores_what_evaluate_post_hoc_computes(stored: StoredResults) -> None:
    (evaluated,) = evaluate(stored.path, post_hoc=True)
    expected = {
        f"{metric_prefix(row.distribution, 'estimated')}/{name}": value
        for row in evaluated.post_hoc
        if row.prior == "estimated" and row.metrics is not None
        for name, value in row.metrics.values.items()
    }
    assert {name.split("/")[0] for name in expected} == {
        "test_estimated_prior",
        *(f"test_{shift.name}_estimated_prior" for shift in SHIFTS),
    }
    assert estimated(stored) == pytest.approx(expected, rel=1e-9)
    assert stored.no_estimated_prior is None


def test_some_estimate_differs_from_the_unknown_and_from_the_known_prior(
    stored: StoredResults,
) -> None:
    for other in ("unknown", "known"):
        assert any(
            stored.metrics[f"{metric_prefix(shift.name, 'estimated')}/nll"]
            != pytest.approx(stored.metrics[f"{metric_prefix(shift.name, other)}/nll"])
            for shift in SHIFTS
        )


def test_the_figure_of_the_model_shows_three_series(stored: StoredResults) -> None:
    drawing = distribution_results(stored.metrics, "cut")
    assert drawing is not None
    assert drawing.picture(png=True).png
    accuracy, ece = drawing.figure.axes
    ratios = (50, 25, 10, 5, 2)
    places = (
        *(f"forward_{ratio}" for ratio in ratios),
        WHOLE_TEST,
        *(f"backward_{ratio}" for ratio in reversed(ratios)),
    )
    for axes, metric in ((accuracy, "accuracy"), (ece, "ece")):
        lines = {str(line.get_label()): np.asarray(line.get_ydata()) for line in axes.get_lines()}
        for prior in ("unknown", "known", "estimated"):
            keys = [f"{metric_prefix(place, prior)}/{metric}" for place in places]
            expected = [100 * stored.metrics[key] for key in keys]
            assert lines[f"prior {prior}"] == pytest.approx(expected)


def test_a_model_that_was_trained_on_all_labelled_images_has_a_reason_instead(
    tmp_path: Path,
) -> None:
    splits = load_final_splits(SMALL)
    validation = load_search_splits(SMALL).validation
    both = torch.cat([splits.train.images_nhwd, validation.images_nhwd])
    labels_n = torch.cat([splits.train.labels_n, validation.labels_n])
    everything = replace(splits, train=ImageSet(both, labels_n))
    results = trained(tmp_path / "model", SMALL, everything)
    assert estimated(results) == {}
    assert results.no_estimated_prior is not None
    assert "no predictions for labelled images" in results.no_estimated_prior
    drawing = distribution_results(results.metrics, "everything")
    assert drawing is not None
    labels = {line.get_label() for axes in drawing.figure.axes for line in axes.get_lines()}
    assert {"prior unknown", "prior known"} <= labels
    assert "prior estimated" not in labels


def test_only_the_whole_set_has_an_estimate_where_shifts_weight_classes(
    stored: StoredResults,
) -> None:
    model, splits = load_model(stored.path), load_final_splits(CUT)
    rest = slice(1, None)  # one class has an image less: the test set is not balanced
    test = ImageSet(splits.test.images_nhwd[rest], splits.test.labels_n[rest])
    logits_nec = model.predict(test, torch.device("cpu"))
    found = estimated_prior_results(logits_nec, test, model.provenance, held_out_of(model))
    assert {name.split("/")[0] for name in found.scalars} == {"test_estimated_prior"}
    assert found.missing is not None
    assert "weight the classes" in found.missing


def test_many_classes_are_left_to_evaluate(
    stored: StoredResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("balpoe.training.estimated_priors.MOST_CLASSES", 9)
    model, test = load_model(stored.path), load_final_splits(CUT).test
    logits_nec = model.predict(test, torch.device("cpu"))
    found = estimated_prior_results(logits_nec, test, model.provenance, held_out_of(model))
    assert found.scalars == {}
    assert found.missing is not None
    assert "there are 10 classes" in found.missing
