"""Images of a Gaussian mixture whose class densities are known, cut to a long tail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from balpoe.config.bounds import Count, Positive, Ratio, Seed
from balpoe.config.data import DATA_SOURCES, DataSource, ImageSize


@DATA_SOURCES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianLT(DataSource):
    """Images drawn from a Gaussian around a prototype of each class, so that P(x|y) is known.

    `contrast` (standard deviation of the prototypes' pixels around mid-grey) and `noise`
    (standard deviation of the images around their prototype) are in grey levels of 0..255.
    """

    reader: ClassVar[str] = "balpoe.data.sources.gaussian_lt.images:Gaussian"

    name: Literal["gaussian_lt"] = "gaussian_lt"
    classes: Count = 10
    image_size: ImageSize = 8
    channels: Count = 1
    contrast: Positive = 16.0
    noise: Positive = 40.0
    imbalance_ratio: Ratio = 20.0
    head_count: Count = 500
    validation_per_class: Count = 50
    test_per_class: Count = 100
    subset_seed: Seed = 0
