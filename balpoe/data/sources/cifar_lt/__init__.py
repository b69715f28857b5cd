"""CIFAR-10 and CIFAR-100, cut to a long tail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from balpoe.config.bounds import Positive, Ratio, Real
from balpoe.config.data import DATA_SOURCES, LongTailed


@dataclass(frozen=True, slots=True, kw_only=True)
class CifarLT(LongTailed):
    """CIFAR as torchvision stores it in the folder `root`; abstract.

    Missing files are downloaded only with `download: true`. The cut, the choice of images, `mean`
    and `std` are those of the code released with the paper.
    """

    reader: ClassVar[str] = "balpoe.data.sources.cifar_lt.images:Cifar"
    path_fields: ClassVar[tuple[str, ...]] = ("root",)
    is_fetched: ClassVar[bool] = True

    root: str
    download: bool = False
    imbalance_ratio: Ratio = 100.0
    mean: tuple[Real, ...] | None = (0.4914, 0.4822, 0.4465)
    std: tuple[Positive, ...] | None = (0.2023, 0.1994, 0.2010)

    @property
    def may_download(self) -> bool:
        """Whether missing files are downloaded."""
        return self.download


@DATA_SOURCES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class Cifar10LT(CifarLT):
    """CIFAR-10 (Krizhevsky, 2009) cut to a long tail: 60,000 colour images of 32x32."""

    name: Literal["cifar10_lt"] = "cifar10_lt"


@DATA_SOURCES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class Cifar100LT(CifarLT):
    """CIFAR-100 (Krizhevsky, 2009) cut to a long tail: 60,000 colour images of 32x32."""

    name: Literal["cifar100_lt"] = "cifar100_lt"
