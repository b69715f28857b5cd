"""The expected luck of a choice: against simulations of equal configurations."""

from __future__ import annotations

import numpy as np
import pytest

from balpoe.study.selection.candidates import Candidate
from balpoe.study.selection.selection_effect import (
    best_of_equal,
    effective_images,
    selection_effect,
)


def candidates(values_kr: list[list[float]], name: str = "val/accuracy") -> list[Candidate]:
    return [
        Candidate(number, {}, {seed: {name: value} for seed, value in enumerate(own)})
        for number, own in enumerate(values_kr)
    ]


@pytest.mark.parametrize("configurations", [2, 12, 100])
def test_the_gap_is_that_of_normal_draws(configurations: int) -> None:
    drawn = np.random.default_rng(0).standard_normal((20_000, configurations))
    gaps = drawn.max(axis=1) - drawn[:, 0]
    mean, sd = best_of_equal(configurations)
    assert mean == pytest.approx(gaps.mean(), abs=0.03)
    assert sd == pytest.approx(gaps.std(), abs=0.03)


def test_the_best_of_12_equal_configurations_on_300_images_is_2_7_points_ahead() -> None:
    """README's gain of 2.3 points over a known point, where all 12 have an accuracy of 0.91."""
    right = np.random.default_rng(0).binomial(300, 0.91, (20_000, 12)) / 300
    gaps = right.max(axis=1) - right[:, 0]
    effect = selection_effect(candidates([[0.91]] * 12), "val/accuracy", [30] * 10)
    assert effect is not None
    assert effect.images == 300
    assert effect.mean == pytest.approx(gaps.mean(), abs=0.0015)
    assert effect.sd == pytest.approx(gaps.std(), abs=0.0015)
    assert effect.mean == pytest.approx(0.027, abs=0.0005)


def test_the_spread_of_the_seeds_replaces_the_binomial_one() -> None:
    """Models that err on the same images differ by less than images of their own would."""
    known = candidates([[0.90, 0.91, 0.92], [0.90, 0.91, 0.92], [0.91]])
    effect = selection_effect(known, "val/accuracy", [30] * 10)
    assert effect is not None
    assert effect.images is None
    assert effect.mean == pytest.approx(best_of_equal(3)[0] * 0.01)
    assert selection_effect(known, "val/accuracy", None) == effect


def test_without_seeds_only_an_accuracy_has_a_known_deviation() -> None:
    known = candidates([[0.1], [0.2]], "val/ece")
    assert selection_effect(known, "val/ece", [30] * 10) is None
    assert selection_effect(candidates([[0.9]] * 2), "val/accuracy", None) is None
    assert selection_effect(candidates([[0.9]]), "val/accuracy", [10]) is None


def test_class_weights_reduce_the_images() -> None:
    assert effective_images("val/accuracy", [90, 10]) == 100
    assert effective_images("val/balanced_accuracy", [90, 10]) == pytest.approx(36)
    assert effective_images("val/balanced_accuracy", [50, 50, 0]) == pytest.approx(100)
    assert effective_images("val/expert_0/accuracy", [50, 50]) == 100


@pytest.mark.parametrize(
    "name",
    [
        "val/forward_50/accuracy",
        "val/backward_10_known_prior/accuracy",
        "val/class/heron/recall",
        "val/top_5_accuracy",
        "val/accuracy_few",
    ],
)
def test_other_accuracies_have_other_weights_and_no_binomial_deviation(name: str) -> None:
    """A forward tail of ratio 50 leaves 300 images of 10 classes the information of 137."""
    assert effective_images(name, [30] * 10) is None
    assert selection_effect(candidates([[0.91]] * 12, name), name, [30] * 10) is None
    seeds = candidates([[0.90, 0.92], [0.91]], name)
    assert selection_effect(seeds, name, [30] * 10) is not None
