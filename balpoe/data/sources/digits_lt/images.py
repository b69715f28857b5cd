"""The 1,797 scanned digits that scikit-learn ships, cut to a long tail.

Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from balpoe.data.description import describe_final, describe_search
from balpoe.data.image_locations import ImageLocations
from balpoe.data.source import Source
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.splits import FinalSplits, ImageSet, SearchSplits
from balpoe.errors import DataError
from balpoe.method.long_tailed_counts import Indices, class_counts, shuffled_class_indices

TEST_PER_CLASS = 40
VALIDATION_PER_CLASS = 30
CLASS_NAMES = tuple(str(digit) for digit in range(10))
_BRIGHTEST = 16


class Digits(Source):
    """Splits of the scanned digits."""

    def __init__(self, settings: DigitsLT) -> None:
        self._settings = settings

    def search_splits(self) -> SearchSplits:
        """Return the long tail, and 30 validation images of every digit."""
        digits = _all_digits()
        train, validation, _ = _rows(self._settings, digits)
        return describe_search(_subset(digits, train), _subset(digits, validation), CLASS_NAMES)

    def final_splits(self) -> FinalSplits:
        """Return the same long tail, and 40 test images of every digit."""
        digits = _all_digits()
        train, _, test = _rows(self._settings, digits)
        splits = describe_final(_subset(digits, train), _subset(digits, test), CLASS_NAMES)
        return replace(splits, test_locations=ImageLocations(test))


def _rows(config: DigitsLT, images: ImageSet) -> tuple[Indices, Indices, Indices]:
    """Return training, validation and test rows: the start and the end of each shuffled class."""
    orders = shuffled_class_indices(images.labels_n.numpy(), len(CLASS_NAMES), config.subset_seed)
    counts = class_counts(config.head_count, config.imbalance_ratio, len(CLASS_NAMES))
    held_out = VALIDATION_PER_CLASS + TEST_PER_CLASS
    for digit, (order, wanted) in enumerate(zip(orders, counts, strict=True)):
        if wanted > len(order) - held_out:
            raise DataError(
                f"data.head_count: the long tail needs {wanted} images of digit {digit}, but "
                f"{len(order) - held_out} of its {len(order)} remain besides validation and "
                f"test: lower head_count"
            )
    return (
        _sorted([order[:n] for order, n in zip(orders, counts, strict=True)]),
        _sorted([order[-held_out:-TEST_PER_CLASS] for order in orders]),
        _sorted([order[-TEST_PER_CLASS:] for order in orders]),
    )


def _all_digits() -> ImageSet:
    # the import takes a second, and only this source needs it
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey_nhw = np.rint(digits.images * (255 / _BRIGHTEST)).astype(np.uint8)
    return ImageSet(
        torch.from_numpy(grey_nhw[..., np.newaxis]),
        torch.from_numpy(digits.target.astype(np.int64)),
    )


def _sorted(rows_by_class: list[Indices]) -> Indices:
    rows: Indices = np.sort(np.concatenate(rows_by_class))
    return rows


def _subset(images: ImageSet, rows: Indices) -> ImageSet:
    chosen = torch.from_numpy(rows)
    return ImageSet(images.images_nhwd[chosen], images.labels_n[chosen])
