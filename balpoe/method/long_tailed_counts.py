"""Long-tailed class counts, shot groups, shifted test distributions and selection of images.

N images, C classes. Cuts rank classes by their index: class 0 is the head. Shifts rank classes by
their number of training images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from balpoe.config.shifts import Shift
from balpoe.errors import DataError, NoValidationImages

ShotGroup = Literal["many", "medium", "few"]
Indices = NDArray[np.int64]

_LEGACY_SEEDS = 2**32


@dataclass(frozen=True, eq=False, slots=True)
class TrainValidation:
    """Ascending indices of the training images and of the validation images."""

    train: Indices
    validation: Indices


def class_counts(head_count: int, imbalance_ratio: float, classes: int) -> tuple[int, ...]:
    """Return the exponential long tail n_i = trunc(N_max · IR^(−i/(C−1))) (Cao et al., LDAM, 2019).

    A single class keeps `head_count`. Tail classes may get 0 images if IR exceeds N_max.
    """
    tail = _exponential_tail(imbalance_ratio, classes)
    return tuple(_truncate(head_count * weight) for weight in tail)


def is_balanced(labels: NDArray[np.int64]) -> bool:
    """Return whether all classes that have images among `labels` [N] have as many."""
    _, images = np.unique(labels, return_counts=True)
    return bool((images == images[0]).all())


def shifted_class_counts(
    images_per_class: int, shift: Shift, train_counts: Sequence[int]
) -> tuple[int, ...]:
    """Return the class counts of the long tail that the papers cut from a balanced test set.

    The most frequent class keeps all its images. A class of less than one image gets none.
    """
    weights = shifted_class_weights(shift, train_counts)
    return tuple(_truncate(images_per_class * weight) for weight in weights)


def shifted_class_weights(shift: Shift, train_counts: Sequence[int]) -> tuple[float, ...]:
    """Return the frequency of each class under a shift, relative to the most frequent class.

    For a forward shift this is the class with the most training images, the first of several; for
    a backward shift it is the rarest class.
    """
    tail = _exponential_tail(shift.ratio, len(train_counts))
    by_rank = tail if shift.direction == "forward" else tail[::-1]
    ranked = sorted(range(len(train_counts)), key=lambda y: -train_counts[y])
    of_class = dict(zip(ranked, by_rank, strict=True))
    return tuple(of_class[y] for y in range(len(train_counts)))


def shot_groups(class_counts: Sequence[int]) -> dict[ShotGroup, tuple[int, ...]]:
    """Group classes with over 100 (many), 20 to 100 (medium), under 20 (few) training images.

    A group without classes is absent.
    """
    groups: dict[ShotGroup, tuple[int, ...]] = {
        "many": tuple(y for y, count in enumerate(class_counts) if count > 100),
        "medium": tuple(y for y, count in enumerate(class_counts) if 20 <= count <= 100),
        "few": tuple(y for y, count in enumerate(class_counts) if count < 20),
    }
    return {group: members for group, members in groups.items() if members}


def shuffled_class_indices(labels_n: Indices, classes: int, seed: int) -> tuple[Indices, ...]:
    """Return the image indices of each class, in an order given by the seed and the labels.

    NumPy's legacy generator shuffles the classes one after the other, as in the code released with
    the paper, so seed 0 gives the subsets of that code.

    Raises:
        DataError: The seed is not below 2³², the limit of that generator.
    """
    if not 0 <= seed < _LEGACY_SEEDS:
        raise DataError(f"subset_seed: must be from 0 to {_LEGACY_SEEDS - 1}, got {seed}")
    generator = np.random.RandomState(seed)
    orders = []
    for y in range(classes):
        order = np.flatnonzero(labels_n == y)
        generator.shuffle(order)
        orders.append(order)
    return tuple(orders)


def cut_indices(labels_n: Indices, class_counts: Sequence[int], seed: int) -> Indices:
    """Return the ascending indices of a subset with these class counts.

    Raises:
        DataError: A class has fewer images than its count.
    """
    orders = shuffled_class_indices(labels_n, len(class_counts), seed)
    _require_enough(orders, class_counts)
    return _ascending([order[:n] for order, n in zip(orders, class_counts, strict=True)])


def shifted_test_indices(
    labels_n: Indices, shift: Shift, train_counts: Sequence[int], seed: int = 0
) -> Indices:
    """Return the ascending indices of the long tail cut from a balanced test set."""
    images_per_class = len(labels_n) // len(train_counts)
    return cut_indices(labels_n, shifted_class_counts(images_per_class, shift, train_counts), seed)


def split_cut(
    labels_n: Indices, class_counts: Sequence[int], validation_per_class: int, seed: int
) -> TrainValidation:
    """Return a long-tailed training set, and validation images from the remaining images.

    The validation images of a class are the last `validation_per_class` in its shuffled order.
    Training images of a class are capped to leave them; otherwise they are those of `cut_indices`.

    Raises:
        DataError: A class has fewer images than its count.
        NoValidationImages: The validation images leave no image of a class for training.
    """
    orders = shuffled_class_indices(labels_n, len(class_counts), seed)
    _require_enough(orders, class_counts)
    for y, order in enumerate(orders):
        if len(order) <= validation_per_class:
            raise NoValidationImages(
                f"validation_per_class: {validation_per_class} leaves none of the {len(order)} "
                f"images of class {y} for training: lower it"
            )
    kept = [len(order) - validation_per_class for order in orders]
    return TrainValidation(
        train=_ascending(
            [order[: min(n, k)] for order, n, k in zip(orders, class_counts, kept, strict=True)]
        ),
        validation=_ascending([order[k:] for order, k in zip(orders, kept, strict=True)]),
    )


def split_natural(
    labels_n: Indices, classes: int, validation_per_class: int, seed: int
) -> TrainValidation:
    """Split a naturally long-tailed set into training images and a few validation images per class.

    Validation gets min(`validation_per_class`, ⌊n_y/5⌋) images of class y, at least one if n_y ≥ 2.
    """
    orders = shuffled_class_indices(labels_n, classes, seed)
    kept = [len(order) - _given_up(len(order), validation_per_class) for order in orders]
    return TrainValidation(
        train=_ascending([order[:k] for order, k in zip(orders, kept, strict=True)]),
        validation=_ascending([order[k:] for order, k in zip(orders, kept, strict=True)]),
    )


def split_off(labels_n: Indices, classes: int, share: float, seed: int) -> Indices:
    """Return the ascending indices of a test set with the same share of every class.

    It gets ⌊share·n_y⌋ images of class y, at least one and not all if n_y ≥ 2.
    """
    orders = shuffled_class_indices(labels_n, classes, seed)
    given = [min(max(_truncate(share * len(of)), 1), len(of) - 1) for of in orders]
    return _ascending([order[len(order) - n :] for order, n in zip(orders, given, strict=True)])


def _given_up(count: int, validation_per_class: int) -> int:
    at_least = 1 if count >= 2 else 0
    return max(min(validation_per_class, count // 5), at_least)


def _exponential_tail(imbalance_ratio: float, classes: int) -> tuple[float, ...]:
    """IR^(−i/(C−1)) of class i."""
    steps = max(classes - 1, 1)
    return tuple(imbalance_ratio ** (-rank / steps) for rank in range(classes))


def _truncate(count: float) -> int:
    # 5000 · 100^(−9/9) must be 50 even if the floating-point power is slightly below
    nearest = round(count)
    return nearest if math.isclose(count, nearest, rel_tol=1e-12) else math.trunc(count)


def _require_enough(orders: Sequence[Indices], class_counts: Sequence[int]) -> None:
    for y, (order, wanted) in enumerate(zip(orders, class_counts, strict=True)):
        if wanted > len(order):
            raise DataError(
                f"head_count: the long tail asks for {wanted} images of class {y}, "
                f"but there are {len(order)}: lower head_count"
            )


def _ascending(parts: Sequence[Indices]) -> Indices:
    return np.sort(np.concatenate(parts))
