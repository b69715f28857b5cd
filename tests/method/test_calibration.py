"""Reliability bins: the definition by hand, torchmetrics as an oracle, weights as copies."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from balpoe.errors import DataError, NonFiniteError
from balpoe.method.calibration_bins import ReliabilityBins, bin_confidences, reliability_bins


def binary_probabilities(confidence: list[float]) -> Tensor:
    """Predictions of class 0 with the given confidences (above one half)."""
    top = torch.tensor(confidence, dtype=torch.float64)
    return torch.stack([top, 1 - top], dim=1)


def random_predictions(seed: int, images: int, classes: int) -> tuple[Tensor, Tensor]:
    generator = np.random.default_rng(seed)
    probabilities_bc = torch.from_numpy(generator.dirichlet(np.ones(classes), images))
    return probabilities_bc, torch.from_numpy(generator.integers(0, classes, images))


def bins_of_one(confidence: float) -> ReliabilityBins:
    one = torch.ones(1, dtype=torch.float64)
    return bin_confidences(one * confidence, one == 1, weights_b=one)


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("bin_count", [5, 15])
def test_ece_and_mce_agree_with_torchmetrics(classes: int, bin_count: int) -> None:
    probabilities_bc, labels_b = random_predictions(classes, 2000, classes)
    bins = reliability_bins(probabilities_bc, labels_b, bin_count=bin_count)

    def oracle(norm: Literal["l1", "max"]) -> float:
        error = multiclass_calibration_error(
            probabilities_bc, labels_b, num_classes=classes, n_bins=bin_count, norm=norm
        )
        return float(error)

    assert bins.ece == pytest.approx(oracle("l1"), abs=1e-6)
    assert bins.mce == pytest.approx(oracle("max"), abs=1e-6)


def test_the_bins_of_five_predictions_worked_by_hand() -> None:
    probabilities_bc = binary_probabilities([0.55, 0.95, 0.85, 0.9, 0.85])
    labels_b = torch.tensor([0, 0, 0, 1, 1])
    bins = reliability_bins(probabilities_bc, labels_b, bin_count=5)
    assert bins.counts.tolist() == [0, 0, 1, 0, 4]
    assert bins.weights.tolist() == [0, 0, 0.2, 0, 0.8]
    assert bins.accuracy[[2, 4]].tolist() == [1, 0.5]
    assert bins.confidence[[2, 4]].tolist() == pytest.approx([0.55, 0.8875])
    assert bins.ece == pytest.approx(0.2 * 0.45 + 0.8 * 0.3875)
    assert bins.mce == pytest.approx(0.45)


def test_empty_bins_have_no_accuracy_and_take_no_part_in_the_errors() -> None:
    bins = reliability_bins(binary_probabilities([0.95]), torch.tensor([0]))
    assert bins.counts.tolist() == [0] * 14 + [1]
    assert bins.accuracy[:14].isnan().all()
    assert bins.confidence[:14].isnan().all()
    assert bins.ece == pytest.approx(0.05)
    assert bins.mce == pytest.approx(0.05)


@pytest.mark.parametrize("k", range(1, 16))
def test_a_confidence_on_an_edge_belongs_to_the_bin_beneath_it(k: int) -> None:
    assert bins_of_one(k / 15).counts.argmax() == k - 1


@pytest.mark.parametrize("k", range(1, 15))
def test_a_confidence_just_above_an_edge_belongs_to_the_bin_above_it(k: int) -> None:
    assert bins_of_one(math.nextafter(k / 15, 1)).counts.argmax() == k


def test_float32_confidences_are_binned_by_their_exact_value() -> None:
    single = torch.full((1, 3), 1 / 3, dtype=torch.float32)
    double = torch.full((1, 3), 1 / 3, dtype=torch.float64)
    assert float(single[0, 0]) > 1 / 3
    assert reliability_bins(single, torch.tensor([0])).counts.argmax() == 5
    assert reliability_bins(double, torch.tensor([0])).counts.argmax() == 4


def test_edges_are_the_quotients_from_zero_to_one() -> None:
    assert bins_of_one(1.0).edges.tolist() == [k / 15 for k in range(16)]


def test_predictions_right_as_often_as_they_are_confident_have_no_error() -> None:
    probabilities_bc = binary_probabilities([0.75] * 4 + [0.625] * 8)
    labels_b = torch.tensor([0, 0, 0, 1] + [0] * 5 + [1] * 3)
    bins = reliability_bins(probabilities_bc, labels_b)
    assert bins.ece == 0
    assert bins.mce == 0


@given(seed=st.integers(0, 2**32 - 1), copies=st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_integer_weights_are_copies_of_the_images(seed: int, copies: list[int]) -> None:
    copies = [*copies, 1]
    probabilities_bc, labels_b = random_predictions(seed, len(copies), 4)
    copies_b = torch.tensor(copies)
    weighted = reliability_bins(probabilities_bc, labels_b, sample_weights_b=copies_b)
    copied = reliability_bins(
        probabilities_bc.repeat_interleave(copies_b, dim=0), labels_b.repeat_interleave(copies_b)
    )
    kept_b = copies_b > 0
    kept = reliability_bins(probabilities_bc[kept_b], labels_b[kept_b])
    assert weighted.counts.equal(kept.counts)
    assert weighted.ece == pytest.approx(copied.ece, abs=1e-12)
    assert weighted.mce == pytest.approx(copied.mce, abs=1e-12)
    torch.testing.assert_close(weighted.weights, copied.weights)
    torch.testing.assert_close(weighted.accuracy, copied.accuracy, equal_nan=True)
    torch.testing.assert_close(weighted.confidence, copied.confidence, equal_nan=True)


@given(seed=st.integers(0, 2**32 - 1), images=st.integers(1, 60))
def test_ece_lies_between_the_overall_gap_and_mce(seed: int, images: int) -> None:
    probabilities_bc, labels_b = random_predictions(seed, images, 5)
    bins = reliability_bins(probabilities_bc, labels_b)
    confidence_b, predicted_b = probabilities_bc.max(dim=1)
    overall = float((predicted_b == labels_b).double().mean() - confidence_b.mean())
    assert abs(overall) <= bins.ece + 1e-12
    assert bins.ece <= bins.mce + 1e-12
    assert int(bins.counts.sum()) == images


def test_the_scale_of_the_weights_does_not_matter() -> None:
    probabilities_bc, labels_b = random_predictions(3, 200, 6)
    weights_b = torch.arange(1, 201)
    small = reliability_bins(probabilities_bc, labels_b, sample_weights_b=weights_b / 1e6)
    large = reliability_bins(probabilities_bc, labels_b, sample_weights_b=weights_b)
    assert small.ece == pytest.approx(large.ece, rel=1e-6)
    assert float(small.weights.sum()) == pytest.approx(1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_non_finite_probability_is_refused(bad: float) -> None:
    probabilities_bc, labels_b = random_predictions(0, 10, 3)
    probabilities_bc[4, 1] = bad
    with pytest.raises(NonFiniteError, match="1 of 30 are NaN"):
        reliability_bins(probabilities_bc, labels_b)


def test_logits_passed_for_probabilities_are_refused() -> None:
    with pytest.raises(DataError, match=r"-2\.0 to 3\.0: apply the softmax"):
        reliability_bins(torch.tensor([[3.0, -2.0]]), torch.tensor([0]))


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_refused(label: int) -> None:
    probabilities_bc, _ = random_predictions(0, 2, 3)
    with pytest.raises(DataError, match=rf"label {label} of image 1 .* from 0 to 2"):
        reliability_bins(probabilities_bc, torch.tensor([0, label]))


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(DataError, match="no images"):
        reliability_bins(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))


def test_impossible_weights_are_refused() -> None:
    probabilities_bc, labels_b = random_predictions(0, 2, 3)
    for weights, error in (
        ([1.0, math.nan], NonFiniteError),
        ([1.0, -1.0], DataError),
        ([0.0, 0.0], DataError),
    ):
        with pytest.raises(error, match="sample weights"):
            reliability_bins(probabilities_bc, labels_b, sample_weights_b=torch.tensor(weights))
