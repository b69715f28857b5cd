"""Which images a run uses, and how they are cut to a long tail.

A source is chosen by its `name`; the other fields are the settings of that source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from balpoe.config.bounds import Bounded, Bounds, Count, Positive, Ratio, Real, Seed
from balpoe.config.wording import shown
from balpoe.errors import FieldProblem


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetImages(Bounded):
    """Images in Parquet files in the Hugging Face convention, all of one size.

    `train` and `test` are paths. With an `imbalance_ratio` the balanced training file is cut
    to a long tail (`head_count` images in the first class; by default all that there are);
    without one its own class counts are the long tail. `mean` and `std` (per channel, of
    pixels scaled to 0..1) are measured on the training images where they are not given.
    """

    name: Literal["parquet"] = "parquet"
    train: str
    test: str
    image_column: str = "image"
    label_column: str = "label"
    imbalance_ratio: Ratio | None = None
    head_count: Count | None = None
    validation_per_class: Count | None = None
    mean: tuple[Real, ...] | None = None
    std: tuple[Positive, ...] | None = None
    subset_seed: Seed = 0

    def further_problems(self) -> Iterator[FieldProblem]:
        """`mean` and `std` come together, one number a channel each; a head needs a cut."""
        if self.head_count is not None and self.imbalance_ratio is None:
            message = "is for a set that is cut: give imbalance_ratio too, or leave it out"
            yield FieldProblem("head_count", message)
        if len(self.mean or ()) != len(self.std or ()):
            yield FieldProblem("std", f"must have as many numbers as mean, got {shown(self.std)}")


DataConfig = DigitsLT | GaussianLT | ParquetImages
