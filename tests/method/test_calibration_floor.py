"""The calibration error of a perfectly calibrated classifier against its known values."""

from __future__ import annotations

import math

import pytest
import torch

from balpoe.method.calibration_bins import bin_confidences
from balpoe.method.calibration_floor import calibration_floor, typical_confidences


@pytest.mark.parametrize(
    ("images", "mean", "sd"), [(106, 0.046, 0.014), (300, 0.028, 0.008), (10_000, 0.005, 0.0015)]
)
def test_the_floor_of_an_accuracy_of_93_percent(images: int, mean: float, sd: float) -> None:
    confidence_b = typical_confidences(images)
    assert float(confidence_b.mean()) == pytest.approx(0.93, abs=0.001)
    floor = calibration_floor(confidence_b, torch.ones(images, dtype=torch.float64))
    assert floor.ece == pytest.approx(mean, rel=0.08)
    assert floor.ece_sd == pytest.approx(sd, rel=0.1)


def test_one_bin_has_the_mean_absolute_deviation_of_a_binomial_number() -> None:
    """E|Σ(z − c)|/n with z ~ Bernoulli(c), by enumeration."""
    images, c = 20, 0.9
    exact = sum(
        math.comb(images, k) * c**k * (1 - c) ** (images - k) * abs(k / images - c)
        for k in range(images + 1)
    )
    floor = calibration_floor(torch.full((images,), c).double(), torch.ones(images).double())
    assert floor.ece == pytest.approx(exact, rel=0.1)
    assert floor.mce == pytest.approx(floor.ece)


@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_the_mean_error_of_the_papers_estimator_on_drawn_labels(weighted: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    confidence_b = 0.3 + 0.7 * torch.rand(150, generator=generator, dtype=torch.float64)
    weights_b = torch.ones(150, dtype=torch.float64)
    if weighted:
        weights_b = torch.rand(150, generator=generator, dtype=torch.float64) ** 4
        weights_b[:10] = 0
    drawn = []
    for _ in range(1000):
        correct_b = torch.rand(150, generator=generator, dtype=torch.float64) < confidence_b
        drawn.append(bin_confidences(confidence_b, correct_b, weights_b=weights_b))
    floor = calibration_floor(confidence_b, weights_b)
    for values, mean, sd in (
        ([bins.ece for bins in drawn], floor.ece, floor.ece_sd),
        ([bins.mce for bins in drawn], floor.mce, floor.mce_sd),
    ):
        expected = torch.tensor(values, dtype=torch.float64)
        assert mean == pytest.approx(float(expected.mean()), rel=0.06)
        assert sd == pytest.approx(float(expected.std()), rel=0.12)


def test_weights_count_by_their_proportions_and_few_images_of_much_weight_raise_it() -> None:
    confidence_b = typical_confidences(400)
    equal = torch.ones(400, dtype=torch.float64)
    assert calibration_floor(confidence_b, 7 * equal) == calibration_floor(confidence_b, equal)
    uneven = torch.where(torch.arange(400) % 20 == 0, 50.0, 1.0).double()
    assert (
        calibration_floor(confidence_b, uneven).ece
        > 1.5 * calibration_floor(confidence_b, equal).ece
    )


def test_certain_predictions_have_none_and_it_is_the_same_at_every_call() -> None:
    certain = calibration_floor(torch.ones(30).double(), torch.ones(30).double())
    assert (certain.ece, certain.mce) == (0, 0)
    confidence_b = typical_confidences(50)
    first, second = (calibration_floor(confidence_b, torch.ones(50).double()) for _ in range(2))
    assert first == second
