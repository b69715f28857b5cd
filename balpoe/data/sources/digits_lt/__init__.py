"""The scanned digits of scikit-learn, cut to a long tail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from balpoe.config.bounds import Count, Ratio, Seed
from balpoe.config.data import DATA_SOURCES, DataSource


@DATA_SOURCES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class DigitsLT(DataSource):
    """The scanned digits that scikit-learn ships: 1,797 grey images of 8x8, ten classes.

    Every class has 40 test and 30 validation images; the first class has `head_count` training
    images.
    """

    reader: ClassVar[str] = "balpoe.data.sources.digits_lt.images:Digits"

    name: Literal["digits_lt"] = "digits_lt"
    imbalance_ratio: Ratio = 20.0
    head_count: Count = 100
    subset_seed: Seed = 0
