"""Selection of the rows for training and validation."""

from __future__ import annotations

import numpy as np

from balpoe.config.data import LongTailed
from balpoe.method.long_tailed_counts import (
    Indices,
    TrainValidation,
    class_counts,
    cut_indices,
    split_cut,
    split_natural,
)

_VALIDATION_SHARE = 10  # default: a tenth of the largest class, from every class


def search_rows(config: LongTailed, labels_n: Indices, classes: int) -> TrainValidation:
    """Return training and validation rows of a set without a validation split.

    Raises:
        DataError: A class has too few images for the cut or for validation.
    """
    largest = int(np.bincount(labels_n).max())
    held_out = config.validation_per_class or max(1, largest // _VALIDATION_SHARE)
    if config.imbalance_ratio is None:
        return split_natural(labels_n, classes, held_out, config.subset_seed)
    counts = _cut_counts(config, config.imbalance_ratio, labels_n, classes)
    return split_cut(labels_n, counts, held_out, config.subset_seed)


def training_rows(config: LongTailed, labels_n: Indices, classes: int) -> Indices:
    """Return the rows of the full cut, or all rows without an imbalance ratio.

    Raises:
        DataError: A class has too few images for the cut.
    """
    if config.imbalance_ratio is None:
        return np.arange(len(labels_n))
    counts = _cut_counts(config, config.imbalance_ratio, labels_n, classes)
    return cut_indices(labels_n, counts, config.subset_seed)


def _cut_counts(
    config: LongTailed, ratio: float, labels_n: Indices, classes: int
) -> tuple[int, ...]:
    head_count = config.head_count or int(np.count_nonzero(labels_n == 0))
    return class_counts(head_count, ratio, classes)
