"""Long-tailed counts against the published ones, and splits against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from balpoe.config.shifts import SHIFTS, Shift
from balpoe.errors import DataError
from balpoe.method.long_tailed_counts import (
    class_counts,
    cut_indices,
    shifted_class_counts,
    shifted_class_weights,
    shifted_test_indices,
    shot_groups,
    shuffled_class_indices,
    split_cut,
    split_natural,
    split_off,
)

Labels = NDArray[np.int64]


@st.composite
def label_arrays(draw: st.DrawFn, smallest_class: int = 1) -> Labels:
    counts = draw(st.lists(st.integers(smallest_class, 40), min_size=1, max_size=6))
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.asarray(draw(st.permutations(list(labels))), dtype=np.int64)


@pytest.mark.parametrize(
    ("head", "ratio", "classes", "total", "smallest", "shots"),
    [
        (5000, 10, 10, 20431, 500, (10, 0, 0)),
        (5000, 50, 10, 13996, 100, (9, 1, 0)),
        (5000, 100, 10, 12406, 50, (8, 2, 0)),
        (500, 10, 100, 19573, 50, (69, 31, 0)),
        (500, 50, 100, 12608, 10, (41, 41, 18)),
        (500, 100, 100, 10847, 5, (35, 35, 30)),
    ],
)
def test_the_training_sets_of_the_paper_have_its_counts(
    head: int, ratio: int, classes: int, total: int, smallest: int, shots: tuple[int, ...]
) -> None:
    counts = class_counts(head, ratio, classes)
    groups = shot_groups(counts)
    assert (sum(counts), counts[0], counts[-1]) == (total, head, smallest)
    assert tuple(len(groups.get(group, ())) for group in ("many", "medium", "few")) == shots


@pytest.mark.parametrize(
    ("ratio", "counts"),
    [
        (10, (5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500)),
        (50, (5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100)),
        (100, (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)),
    ],
)
def test_every_class_of_cifar_10_has_its_published_count(
    ratio: int, counts: tuple[int, ...]
) -> None:
    assert class_counts(5000, ratio, 10) == counts


@pytest.mark.parametrize(
    ("per_class", "classes", "totals"),
    [
        (100, 100, {2: 7166, 5: 4932, 10: 3876, 25: 2956, 50: 2486}),
        (1000, 10, {2: 7241, 5: 5081, 10: 4084, 25: 3229, 50: 2795}),
    ],
)
def test_shifted_test_sets_have_the_published_totals_in_both_directions(
    per_class: int, classes: int, totals: dict[int, int]
) -> None:
    assert {shift.ratio for shift in SHIFTS} == set(totals)
    labels = np.tile(np.arange(classes), per_class)
    trained = class_counts(5 * per_class, 100, classes)
    for shift in SHIFTS:
        counts = shifted_class_counts(per_class, shift, trained)
        chosen = shifted_test_indices(labels, shift, trained)
        assert sum(counts) == totals[shift.ratio]
        assert tuple(np.bincount(labels[chosen], minlength=classes)) == counts
        head = 0 if shift.direction == "forward" else classes - 1
        assert int(np.argmax(counts)) == head


def test_the_head_of_a_shift_is_the_class_of_most_training_images_whatever_its_index() -> None:
    trained = (5, 20, 120, 20)
    forward = shifted_class_weights(Shift("forward", 8), trained)
    assert forward == pytest.approx((1 / 8, 1 / 2, 1, 1 / 4))
    assert shifted_class_weights(Shift("backward", 8), trained) == pytest.approx(
        (1, 1 / 4, 1 / 8, 1 / 2)
    )
    labels = np.tile(np.arange(4), 50)
    chosen = shifted_test_indices(labels, Shift("forward", 50), trained)
    assert np.bincount(labels[chosen]).tolist() == [1, 13, 50, 3]


@pytest.mark.parametrize("ratio", [2, 3, 5, 7, 10, 20, 25, 50, 100, 256, 500])
@pytest.mark.parametrize("classes", [2, 3, 10, 100, 1000, 8142])
def test_a_count_that_is_an_integer_never_loses_an_image_to_rounding(
    ratio: int, classes: int
) -> None:
    counts = class_counts(7 * ratio, ratio, classes)
    assert (counts[0], counts[-1]) == (7 * ratio, 7)


def test_a_single_class_keeps_all_its_images() -> None:
    assert class_counts(12, 100.0, 1) == (12,)


def test_shots_end_at_100_and_20_images_and_empty_groups_are_absent() -> None:
    assert shot_groups((101, 100, 20, 19)) == {"many": (0,), "medium": (1, 2), "few": (3,)}
    assert shot_groups((500, 101)) == {"many": (0, 1)}


def test_a_subset_is_what_numpys_legacy_generator_picks_class_by_class() -> None:
    labels = np.asarray([1, 0, 1, 0, 1, 0, 1, 0, 1, 0], dtype=np.int64)
    np.random.seed(0)
    zeros, ones = np.asarray([1, 3, 5, 7, 9]), np.asarray([0, 2, 4, 6, 8])
    np.random.shuffle(zeros)
    np.random.shuffle(ones)
    expected = sorted([*zeros[:4], *ones[:2]])
    assert cut_indices(labels, (4, 2), seed=0).tolist() == expected


@given(labels=label_arrays(), seed=st.integers(0, 2**32 - 1))
def test_a_smaller_cut_is_contained_in_a_larger_one(labels: Labels, seed: int) -> None:
    present = np.bincount(labels)
    larger = cut_indices(labels, present.tolist(), seed)
    smaller = cut_indices(labels, (present // 2).tolist(), seed)
    assert larger.tolist() == list(range(len(labels)))
    assert set(smaller) <= set(larger)
    assert np.bincount(labels[smaller], minlength=len(present)).tolist() == list(present // 2)


@given(labels=label_arrays(smallest_class=3), seed=st.integers(0, 9), validation=st.integers(1, 2))
def test_validation_of_a_cut_set_is_balanced_and_disjoint_from_training(
    labels: Labels, seed: int, validation: int
) -> None:
    present = np.bincount(labels)
    split = split_cut(labels, present.tolist(), validation, seed)
    assert not set(split.train) & set(split.validation)
    assert np.bincount(labels[split.validation]).tolist() == [validation] * len(present)
    assert np.bincount(labels[split.train]).tolist() == list(present - validation)


@given(labels=label_arrays(smallest_class=4), seed=st.integers(0, 9))
def test_a_class_that_the_cut_leaves_images_of_trains_alike_in_search_and_final_training(
    labels: Labels, seed: int
) -> None:
    counts = (np.bincount(labels) // 2).tolist()
    split = split_cut(labels, counts, 1, seed)
    assert split.train.tolist() == cut_indices(labels, counts, seed).tolist()


@given(labels=label_arrays(), seed=st.integers(0, 9), validation=st.integers(1, 9))
def test_a_natural_set_gives_up_a_fifth_at_most_but_one_image_where_there_are_two(
    labels: Labels, seed: int, validation: int
) -> None:
    present = np.bincount(labels)
    split = split_natural(labels, len(present), validation, seed)
    given_up = np.bincount(labels[split.validation], minlength=len(present))
    assert sorted([*split.train, *split.validation]) == list(range(len(labels)))
    for count, gift in zip(present, given_up, strict=True):
        assert gift == (max(1, min(validation, count // 5)) if count >= 2 else 0)


@given(
    labels=label_arrays(),
    seed=st.integers(0, 9),
    share=st.integers(1, 50).map(lambda percent: percent / 100),
)
def test_every_class_gives_its_share_to_a_test_set_at_least_one_image_and_never_all(
    labels: Labels, seed: int, share: float
) -> None:
    test = split_off(labels, labels.max() + 1, share, seed)
    assert sorted(set(test)) == test.tolist()
    percent = round(100 * share)
    for count, given_up in zip(
        np.bincount(labels), np.bincount(labels[test], minlength=labels.max() + 1), strict=True
    ):
        assert given_up == (max(1, count * percent // 100) if count >= 2 else 0)


@given(labels=label_arrays(), seed=st.integers(0, 9))
def test_a_shuffled_order_holds_each_image_of_its_class_once(labels: Labels, seed: int) -> None:
    for y, order in enumerate(shuffled_class_indices(labels, labels.max() + 1, seed)):
        assert sorted(order) == np.flatnonzero(labels == y).tolist()


def test_asking_for_more_images_than_there_are_names_the_class_and_the_cure() -> None:
    labels = np.asarray([0, 0, 0, 1], dtype=np.int64)
    with pytest.raises(DataError, match=r"asks for 2 images of class 1.*there are 1: lower"):
        cut_indices(labels, (3, 2), seed=0)
    with pytest.raises(DataError, match="leaves none of the 1 images of class 1"):
        split_cut(labels, (3, 1), 1, seed=0)


def test_a_seed_beyond_the_legacy_generator_is_refused() -> None:
    with pytest.raises(DataError, match="must be from 0 to 4294967295, got 4294967296"):
        cut_indices(np.zeros(3, dtype=np.int64), (2,), seed=2**32)
