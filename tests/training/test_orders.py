"""Which images an epoch visits, against counts, slow oracles and released samplers.

N images, C classes, S steps, B batch.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from balpoe.config import TrainingConfig
from balpoe.config.configuration import ClassSampling
from balpoe.config.mixing import PartnerSampling
from balpoe.method.class_weights import class_probabilities
from balpoe.method.mixers.unimix import UniMix
from balpoe.training.orders import epoch_order, order_by_class, partner_order, partners_within
from balpoe.training.schedule import progress
from tests.method.published_partners import (
    BATCH_LABELS,
    CLASSES_BY_TAU,
    COUNTS,
    IMAGES_BY_T,
)

LABELS_N = np.random.default_rng(5).permutation(np.repeat(np.arange(4), COUNTS))
SEVERAL_EPOCHS = 40


def visits_of_classes(orders: list[npt.NDArray[np.int32]]) -> npt.NDArray[np.int64]:
    return np.bincount(LABELS_N[np.concatenate(orders)], minlength=4)


# numbers of github.com/facebookresearch/classifier-balancing at f162ade, `ClassPrioritySampler`


@pytest.mark.parametrize(
    ("sampling", "epoch", "expected"),
    [
        ("image", 0, (0.571429, 0.285714, 0.114286, 0.028571)),
        ("class_balanced", 0, (0.25, 0.25, 0.25, 0.25)),
        ("square_root", 0, (0.420534, 0.297363, 0.188069, 0.094034)),
        ("progressive", 0, (0.571429, 0.285714, 0.114286, 0.028571)),
        ("progressive", 1, (0.491071, 0.276786, 0.148214, 0.083929)),
        ("progressive", 2, (0.410714, 0.267857, 0.182143, 0.139286)),
        ("progressive", 3, (0.330357, 0.258929, 0.216071, 0.194643)),
        ("progressive", 4, (0.25, 0.25, 0.25, 0.25)),
    ],
)
def test_shares_of_classes_are_those_of_the_released_sampler(
    sampling: ClassSampling, epoch: int, expected: tuple[float, ...]
) -> None:
    passed = progress(epoch, TrainingConfig(epochs=5))
    shares_c = class_probabilities(sampling, COUNTS, passed)
    assert shares_c.tolist() == pytest.approx(expected, abs=1e-6)


def test_a_class_without_images_is_never_drawn() -> None:
    samplings: tuple[ClassSampling, ...] = ("class_balanced", "square_root", "progressive")
    for sampling in samplings:
        shares_c = class_probabilities(sampling, (4, 0, 1), 0.5)
        assert shares_c[1] == 0
        assert float(shares_c.sum()) == pytest.approx(1)


def test_an_order_by_image_visits_each_image_once() -> None:
    order_n = epoch_order(LABELS_N, "image", 0.0, np.random.default_rng(0))
    assert sorted(order_n.tolist()) == list(range(len(LABELS_N)))


@pytest.mark.parametrize("sampling", ["class_balanced", "square_root", "progressive"])
def test_classes_are_drawn_with_their_probabilities(sampling: ClassSampling) -> None:
    generator = np.random.default_rng(1)
    orders = [epoch_order(LABELS_N, sampling, 0.3, generator) for _ in range(SEVERAL_EPOCHS)]
    assert all(len(order_n) == len(LABELS_N) for order_n in orders)
    assert all(order_n.dtype == np.int32 for order_n in orders)
    expected_c = class_probabilities(sampling, COUNTS, 0.3).numpy()
    visits_c = visits_of_classes(orders)
    assert chisquare(visits_c, expected_c * visits_c.sum()).pvalue > 1e-4


@given(seed=st.integers(0, 2**32 - 1), counts=st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_images_of_a_class_are_visited_equally_often_up_to_1(seed: int, counts: list[int]) -> None:
    labels_n = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    order_n = epoch_order(labels_n, "class_balanced", 0.0, np.random.default_rng(seed))
    visits = Counter(order_n.tolist())
    for y in range(len(counts)):
        of_class = [visits[row] for row in np.flatnonzero(labels_n == y).tolist()]
        assert max(of_class) - min(of_class) <= 1


def test_images_of_a_class_are_visited_in_random_order() -> None:
    labels_n = np.zeros(6, dtype=np.int64)
    generator = np.random.default_rng(0)
    first = Counter(order_by_class(labels_n, np.ones(1), generator)[0] for _ in range(1200))
    assert chisquare(list(first.values())).pvalue > 1e-4
    assert len(first) == 6


def test_visits_of_a_class_are_spread_over_the_epoch() -> None:
    generator = np.random.default_rng(2)
    halves = [
        np.split(LABELS_N[epoch_order(LABELS_N, "class_balanced", 0.0, generator)][:174], 2)
        for _ in range(SEVERAL_EPOCHS)
    ]
    first, second = (sum((half[k] == 3).sum() for half in halves) for k in (0, 1))
    assert chisquare([first, second]).pvalue > 1e-4


def test_the_order_depends_on_the_generator_alone() -> None:
    first, again, other = (
        epoch_order(LABELS_N, "square_root", 0.0, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


# class probabilities of METHODS_TO_COMPARE.md section 2


@pytest.mark.parametrize(("tau", "expected"), CLASSES_BY_TAU)
def test_partners_from_the_whole_set_have_the_published_class_probabilities(
    tau: float, expected: tuple[float, ...]
) -> None:
    sampling = UniMix(tau=tau).partner_sampling(COUNTS)
    generator = np.random.default_rng(6)
    orders = [partner_order(LABELS_N, sampling, generator) for _ in range(SEVERAL_EPOCHS)]
    visits_c = visits_of_classes(orders)
    assert chisquare(visits_c, np.array(expected) / sum(expected) * visits_c.sum()).pvalue > 1e-4


@pytest.mark.parametrize(("t", "expected"), IMAGES_BY_T)
def test_partners_in_the_batch_have_the_probabilities_of_the_released_sampler(
    t: float, expected: tuple[float, ...]
) -> None:
    sampling = UniMix(partners="batch", tau=1 + t).partner_sampling(COUNTS)
    labels_sb = np.tile(BATCH_LABELS, (3000, 1))
    places_sb = partners_within(labels_sb, sampling, np.random.default_rng(7))
    found = np.bincount(places_sb.ravel(), minlength=7)
    assert chisquare(found, np.array(expected) / sum(expected) * found.sum()).pvalue > 1e-4
    by_place = [np.bincount(places_sb[:, place], minlength=7) for place in (0, 6)]
    for of_place in by_place:  # the partner does not depend on the image itself
        assert chisquare(of_place, np.array(expected) / sum(expected) * 3000).pvalue > 1e-4


@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 4),
    batch=st.integers(1, 9),
    weights=st.lists(st.floats(1e-6, 1e6), min_size=3, max_size=3),
)
def test_partners_in_the_batch_are_those_of_a_slow_search(
    seed: int, steps: int, batch: int, weights: list[float]
) -> None:
    labels_sb = np.random.default_rng(seed).integers(3, size=(steps, batch))
    sampling = PartnerSampling(tuple(weights), whole_set=False)
    found_sb = partners_within(labels_sb, sampling, np.random.default_rng(seed))
    uniform_sb = np.random.default_rng(seed).random((steps, batch))
    for step in range(steps):
        total = sum(weights[y] for y in labels_sb[step].tolist())
        for place in range(batch):
            drawn, partner = uniform_sb[step, place] * total, 0
            below = weights[labels_sb[step, 0]]
            while below <= drawn and partner < batch - 1:
                partner += 1
                below += weights[labels_sb[step, partner]]
            # sums in another order may differ in their last bits
            near = (
                abs(below - drawn) < 1e-9 * total
                or abs(below - weights[labels_sb[step, partner]] - drawn) < 1e-9 * total
            )
            assert found_sb[step, place] == partner or near
