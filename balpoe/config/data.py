"""Which images a run uses, and how they are cut to a long tail.

A source is chosen by its `name`; the other fields are the settings of that source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from balpoe.config.bounds import Bounded, Bounds, Count, Positive, Ratio, Seed
from balpoe.config.image_sources import (
    Cifar10LT,
    Cifar100LT,
    ImageFolder,
    ImageList,
    ParquetImages,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitsLT(Bounded):
    """The scanned digits that scikit-learn ships: 1,797 grey images of 8x8, ten classes.

    Every class gives 40 test and 30 validation images; the head keeps `head_count` images.
    """

    name: Literal["digits_lt"] = "digits_lt"
    imbalance_ratio: Ratio = 20.0
    head_count: Count = 100
    subset_seed: Seed = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianLT(Bounded):
    """Images drawn from a Gaussian around each class's prototype, so that P(x|y) is known.

    `contrast` (the standard deviation of the prototypes' pixels around mid-grey) and `noise`
    (that of the images around their prototype) are in grey levels of 0..255. Below 5 pixels
    the last stage of the networks has one pixel, and a batch of one image no statistics.
    """

    name: Literal["gaussian_lt"] = "gaussian_lt"
    classes: Count = 10
    image_size: Annotated[int, Bounds(at_least=5, at_most=1024)] = 8
    channels: Count = 1
    contrast: Positive = 16.0
    noise: Positive = 40.0
    imbalance_ratio: Ratio = 20.0
    head_count: Count = 500
    validation_per_class: Count = 50
    test_per_class: Count = 100
    subset_seed: Seed = 0


DataConfig = (
    DigitsLT | GaussianLT | ParquetImages | ImageFolder | ImageList | Cifar10LT | Cifar100LT
)
