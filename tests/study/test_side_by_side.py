"""Differences of models from the first one, against paired t tests that are computed by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from balpoe.study.selection.moderated_test import FEWEST_FRESH_SEEDS, LEVEL, paired_tests
from balpoe.study.selection.side_by_side import (
    ModelDifferences,
    compared_metrics,
    differences_from_first,
    distinct_metrics,
)

ACCURACY, ECE = "test/accuracy", "test/ece"


def model(accuracies: Sequence[float], first_seed: int = 1) -> dict[int, dict[str, float]]:
    return {first_seed + place: {ACCURACY: value} for place, value in enumerate(accuracies)}


def difference(one: Sequence[float], other: Sequence[float]) -> ModelDifferences:
    (found,) = differences_from_first([model(one), model(other)], [ACCURACY])
    return found


def test_two_models_are_compared_by_the_paired_t_test() -> None:
    one, other = (
        [0.90, 0.92, 0.91, 0.93, 0.90, 0.95],
        [0.88, 0.89, 0.90, 0.91, 0.87, 0.94],
    )
    found = difference(one, other)
    expected = stats.ttest_rel(other, one)
    low, high = expected.confidence_interval(1 - LEVEL)
    accuracy = found.differences[ACCURACY]
    assert found.seeds == (1, 2, 3, 4, 5, 6)
    assert accuracy.mean == pytest.approx(np.mean(other) - np.mean(one))
    assert accuracy.interval == pytest.approx((low, high))
    assert (found.verdict == "separable") == (expected.pvalue <= LEVEL)
    assert found.reason is None


def test_seeds_that_both_move_are_separable_although_their_spreads_overlap() -> None:
    """What the pairing is for: between seeds the accuracy varies by 3 points, the gain by 0.1."""
    hard_or_easy = np.array([0.80, 0.86, 0.83, 0.88, 0.81])
    gain = np.array([0.011, 0.010, 0.009, 0.010, 0.012])
    one, other = hard_or_easy.tolist(), (hard_or_easy + gain).tolist()
    assert difference(one, other).verdict == "separable"
    assert stats.ttest_ind(one, other).pvalue > 0.5
    assert difference(one, one).verdict != "separable"


def test_every_comparison_with_the_first_and_no_other_is_in_the_family() -> None:
    """The interval is narrower than one for all six pairs, and wider than one for a single pair."""
    generator = np.random.default_rng(0)
    drawn = generator.normal(size=(4, 8, 2))
    models = [
        {seed: {ACCURACY: float(values[0]), ECE: float(values[1])} for seed, values in enumerate(m)}
        for m in drawn
    ]
    names = [ACCURACY, ECE]
    found = differences_from_first(models, names)
    assert [len(each.differences) for each in found] == [2, 2, 2]
    alone = differences_from_first(models[:2], [ACCURACY])[0].differences[ACCURACY]
    together = found[0].differences[ACCURACY]
    assert alone.mean == together.mean
    assert alone.smallest is not None
    assert together.smallest is not None
    assert together.smallest > alone.smallest
    all_pairs = paired_tests(drawn, FEWEST_FRESH_SEEDS)
    assert together.smallest < all_pairs.half_width_pm[0, 0]


def test_equal_models_are_called_different_in_at_most_five_percent() -> None:
    generator = np.random.default_rng(1)
    wrong, runs = 0, 400
    for _ in range(runs):
        seeds_r1 = generator.normal(size=(5, 1))
        models = [
            {
                seed: {ACCURACY: float(v[0]), ECE: float(v[1])}
                for seed, v in enumerate(seeds_r1 + generator.normal(size=(5, 2)))
            }
            for _ in range(4)
        ]
        found = differences_from_first(models, [ACCURACY, ECE])
        wrong += any(each.verdict == "separable" for each in found)
    assert wrong / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize(("seeds", "in_sds"), [(3, 4.0), (5, 2.6), (8, 1.7)])
def test_the_smallest_difference_that_could_be_shown_falls_with_the_seeds(
    seeds: int, in_sds: float
) -> None:
    """The figures of docs/numbers.md: four models, two metrics, 40 sets of normal figures."""
    generator = np.random.default_rng(0)
    smallest = []
    for _ in range(40):
        drawn = generator.normal(size=(4, seeds, 2))
        models = [
            {seed: {ACCURACY: float(v[0]), ECE: float(v[1])} for seed, v in enumerate(of_model)}
            for of_model in drawn
        ]
        for found in differences_from_first(models, [ACCURACY, ECE]):
            assert found.verdict != "not tested"
            smallest += [each.smallest for each in found.differences.values()]
    assert np.median(np.array(smallest, float)) == pytest.approx(in_sds, rel=0.05)


def test_only_shared_seeds_are_paired() -> None:
    one = model([0.9, 0.8, 0.85, 0.87], first_seed=1)
    other = model([0.7, 0.8, 0.75, 0.1], first_seed=2)
    (found,) = differences_from_first([one, other], [ACCURACY])
    assert found.seeds == (2, 3, 4)
    assert found.differences[ACCURACY].mean == pytest.approx(np.mean([-0.1, -0.05, -0.12]))


@pytest.mark.parametrize(
    ("first_seed", "reason"),
    [
        (4, "no shared seed (1, 2, 3 and 4, 5, 6): train both with the same --seeds, 3 or more"),
        (3, "1 shared seed: train both with the same --seeds, 3 or more"),
        (2, "2 shared seeds: train both with the same --seeds, 3 or more"),
    ],
)
def test_too_few_shared_seeds_are_not_tested_and_the_reason_is_given(
    first_seed: int, reason: str
) -> None:
    one, other = model([0.9, 0.8, 0.85]), model([0.5, 0.4, 0.45], first_seed)
    (found,) = differences_from_first([one, other], [ACCURACY])
    assert found.reason == reason
    assert found.verdict == "not tested"
    assert found.differences[ACCURACY].interval is None
    assert (found.differences[ACCURACY].mean is None) == (first_seed == 4)
    plain = found.as_plain()
    assert (plain["n"], plain["verdict"], plain["reason"]) == (4 - first_seed, "not tested", reason)


def test_three_seeds_that_show_no_useful_difference_are_not_tested_for_that_reason() -> None:
    """Two models, two metrics: no other models lend degrees of freedom to the variance."""
    generator = np.random.default_rng(3)
    one, other = (
        {seed: {ACCURACY: v[0], ECE: v[1]} for seed, v in enumerate(drawn)}
        for drawn in generator.normal(0.5, 0.1, (2, 3, 2)).tolist()
    )
    (found,) = differences_from_first([one, other], [ACCURACY, ECE])
    assert {each.verdict for each in found.differences.values()} == {"not tested"}
    assert found.reason == (
        "no difference below 5 standard deviations of a seed could have been shown with n = 3: "
        "train more seeds"
    )
    assert found.as_plain()["reason"] == found.reason


def test_metrics_over_classes_are_compared_where_they_differ() -> None:
    balanced = {"test/balanced_accuracy": 0.9, "test/balanced_ece": 0.1}
    same = {1: {ACCURACY: 0.9, ECE: 0.1, **balanced}}
    assert compared_metrics([same, same], shifts=False) == [ACCURACY, ECE]
    other = {1: {ACCURACY: 0.9, ECE: 0.2, **balanced}}
    assert compared_metrics([same, other], shifts=False) == [ACCURACY, ECE, "test/balanced_ece"]


def test_shifts_are_compared_on_request_where_all_models_have_them() -> None:
    shifted = {
        f"test_forward_2{known}/{metric}": 0.5
        for known in ("", "_known_prior")
        for metric in ("accuracy", "ece")
    }
    one = {1: {ACCURACY: 0.9, ECE: 0.1, **shifted}}
    assert compared_metrics([one, one], shifts=True) == [ACCURACY, ECE, *shifted]
    without = {1: {ACCURACY: 0.9, ECE: 0.1}}
    assert compared_metrics([one, without], shifts=True) == [ACCURACY, ECE]


def test_a_metric_over_classes_is_left_out_where_all_seeds_repeat_the_one_over_images() -> None:
    names = ["test/accuracy", "test/balanced_accuracy", "test/ece", "test/balanced_ece", "test/nll"]
    equal = dict(zip(names, (0.9, 0.9 + 1e-16, 0.1, 0.1, 1.0), strict=True))
    other = {**equal, "test/balanced_ece": 0.11}
    shown = ["test/accuracy", "test/ece", "test/nll"]
    assert distinct_metrics(names, [equal, equal]) == shown
    for seeds in ([equal, other], [other, equal]):
        assert distinct_metrics(names, seeds) == [*shown[:2], "test/balanced_ece", shown[2]]
    lacking = {name: value for name, value in equal.items() if name != "test/nll"}
    assert distinct_metrics(names, [equal, lacking]) == shown[:2]
