"""Gaussian images: exact likelihood, and the accuracy of the Bayes rule."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from balpoe.data import load_final_splits, load_search_splits
from balpoe.data.sources.gaussian_lt import GaussianLT
from balpoe.data.sources.gaussian_lt.images import prototypes
from balpoe.data.sources.gaussian_lt.likelihood import level_log_probabilities, log_likelihood
from balpoe.errors import DataError, NonFiniteError

SMALL = GaussianLT(classes=4, image_size=5, channels=2, head_count=40, imbalance_ratio=4)


@given(mean=st.floats(-400, 700), noise=st.floats(0.1, 10_000))
def test_the_grey_levels_of_a_pixel_have_total_probability_one(mean: float, noise: float) -> None:
    levels = level_log_probabilities(torch.tensor([mean], dtype=torch.float64), noise)
    assert levels.shape == (1, 256)
    assert torch.logsumexp(levels, dim=1).abs().max() < 1e-10


@pytest.mark.parametrize("mean", [-30.0, 0.0, 100.25, 127.5, 254.9, 300.0])
@pytest.mark.parametrize("noise", [8.0, 40.0, 500.0])
def test_a_level_is_an_interval_and_the_outermost_hold_the_tails(mean: float, noise: float) -> None:
    levels = level_log_probabilities(torch.tensor([mean], dtype=torch.float64), noise)[0]

    def tail(grey: float) -> float:
        """Return the probability of the tail beyond `grey`, accurate for tiny values."""
        return math.erfc(abs(grey - mean) / noise / math.sqrt(2)) / 2

    for level in (1, 60, 127, 200, 254):
        low, high = level - 0.5, level + 0.5
        same_side = (low - mean) * (high - mean) > 0
        expected = abs(tail(low) - tail(high)) if same_side else 1 - tail(low) - tail(high)
        assert levels[level].item() == pytest.approx(math.log(expected), abs=1e-8)
    gauss = NormalDist(mean, noise)
    for level, expected in ((0, gauss.cdf(0.5)), (255, 1 - gauss.cdf(254.5))):
        if expected > 1e-9:
            assert levels[level].item() == pytest.approx(math.log(expected), abs=1e-5)


def test_the_likelihood_of_an_image_is_the_product_over_its_pixels() -> None:
    splits = load_search_splits(SMALL)
    stored = splits.validation.log_likelihood_nc
    assert stored is not None
    assert stored.dtype == torch.float64
    assert stored.shape == (len(splits.validation), 4)
    for n, y in ((0, 0), (7, 3), (100, 1)):
        levels = level_log_probabilities(torch.from_numpy(prototypes(SMALL)[y]), SMALL.noise)
        pixels = splits.validation.images_nhwd[n].flatten().tolist()
        expected = sum(levels[p, level].item() for p, level in enumerate(pixels))
        assert stored[n, y].item() == pytest.approx(expected, rel=1e-12)


def test_blocks_of_images_do_not_change_the_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randint(256, (50, 18), generator=torch.Generator().manual_seed(0)).byte()
    means = torch.from_numpy(prototypes(SMALL))
    whole = log_likelihood(images, means, SMALL.noise)
    monkeypatch.setattr("balpoe.data.sources.gaussian_lt.likelihood._VALUES_AT_ONCE", 40)
    assert torch.equal(log_likelihood(images, means, SMALL.noise), whole)


def test_the_bayes_rule_on_two_classes_is_right_as_often_as_their_distance_says() -> None:
    config = GaussianLT(classes=2, image_size=5, test_per_class=20_000, subset_seed=3)
    test = load_final_splits(config).test
    assert test.log_likelihood_nc is not None
    measured = (test.log_likelihood_nc.argmax(1) == test.labels_n).double().mean().item()
    first, second = prototypes(config)
    distance = float(np.linalg.norm(first - second)) / config.noise
    expected = NormalDist().cdf(distance / 2)
    assert 0.7 < expected < 0.97
    standard_error = math.sqrt(expected * (1 - expected) / len(test))
    assert measured == pytest.approx(expected, abs=4 * standard_error)


def test_counts_are_those_of_the_settings() -> None:
    search, final = load_search_splits(SMALL), load_final_splits(SMALL)
    assert search.description.class_counts == (40, 25, 15, 10)
    assert torch.bincount(search.validation.labels_n).tolist() == [50] * 4
    assert torch.bincount(final.test.labels_n).tolist() == [100] * 4
    assert search.train.images_nhwd.shape == (90, 5, 5, 2)
    assert torch.equal(search.train.images_nhwd, final.train.images_nhwd)


def test_a_steeper_tail_is_a_subset_and_leaves_validation_and_test_alone() -> None:
    steep = replace(SMALL, imbalance_ratio=20.0, head_count=20)
    mild_splits, steep_splits = load_search_splits(SMALL), load_search_splits(steep)
    assert torch.equal(mild_splits.validation.images_nhwd, steep_splits.validation.images_nhwd)
    mild_images = {image.tobytes() for image in mild_splits.train.images_nhwd.numpy()}
    assert {image.tobytes() for image in steep_splits.train.images_nhwd.numpy()} <= mild_images


def test_training_validation_and_test_are_drawn_apart_and_by_the_seed() -> None:
    search, final = load_search_splits(SMALL), load_final_splits(SMALL)
    splits = [search.train, search.validation, final.test]
    drawn = [{image.tobytes() for image in split.images_nhwd.numpy()} for split in splits]
    assert not drawn[0] & drawn[1]
    assert not drawn[1] & drawn[2]
    assert not drawn[0] & drawn[2]
    other = load_search_splits(replace(SMALL, subset_seed=1))
    assert other.description.fingerprint != search.description.fingerprint


@pytest.mark.parametrize("noise", [1e-200, 1e300])
def test_noise_beyond_double_precision_is_refused(noise: float) -> None:
    with pytest.raises(NonFiniteError, match=r"data.noise: .* choose a value between"):
        load_search_splits(replace(SMALL, noise=noise))


def test_a_ratio_that_empties_a_class_is_refused() -> None:
    with pytest.raises(DataError, match=r"the cut leaves class 3 \(3\) without"):
        load_search_splits(replace(SMALL, imbalance_ratio=41.0))
