"""Sources of images that people bring: files, folders, lists and CIFAR.

Images of other sizes are scaled until they cover a square of `image_size` pixels and cut around
their centre (`balpoe.data.decoding.decoding.fit_image`); they are never stretched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from balpoe.config.bounds import Bounded, Bounds, Count, Positive, Ratio, Real, Seed
from balpoe.config.wording import shown
from balpoe.errors import FieldProblem

ImageSize = Annotated[int, Bounds(at_least=5, at_most=1024)]
Channels = Literal[1, 3]
Unreadable = Literal["refuse", "skip"]
PublishedSet = Literal["imagenet_lt", "inaturalist2018"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LongTailed(Bounded):
    """What every such source can be told; abstract.

    With an `imbalance_ratio` the training images are cut to a long tail (`head_count` images in
    the first class; by default all that there are); without one their own class counts are the
    long tail. `mean` and `std` (per channel, of pixels scaled to 0..1) are measured on the
    training images where they are not given.
    """

    name: str
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedImages(LongTailed):
    """Images that have to be decoded; abstract.

    `channels` are 3 (grey becomes colour) or 1 (colour becomes grey). With `unreadable: skip`
    images that cannot be decoded are left out and counted. `in_memory_limit` is in GiB: where the
    decoded images would take more, every batch is decoded when it is needed.
    """

    image_size: ImageSize | None = None
    channels: Channels | None = None
    unreadable: Unreadable = "refuse"
    in_memory_limit: Positive = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetImages(FittedImages):
    """Images in Parquet files in the Hugging Face convention.

    `train`, `test` and, where there is one, `validation` are paths. Without an `image_size` all
    images must have the size and the channels of the first.
    """

    name: Literal["parquet"] = "parquet"
    train: str
    test: str
    validation: str | None = None
    image_column: str = "image"
    label_column: str = "label"

    def further_problems(self) -> Iterator[FieldProblem]:
        """`channels` are those of the first image where images are not fitted."""
        yield from LongTailed.further_problems(self)
        if self.channels is not None and self.image_size is None:
            message = "is for images that are fitted: give image_size too, or leave it out"
            yield FieldProblem("channels", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFolder(FittedImages):
    """A tree of image files with a folder for each class, which names it.

    `root` holds `train/`, `test/` and, where there is one, `val/`, each with the folders of the
    classes; or it holds these folders itself, and every class gives up `test_share` of its
    images for the test set. Classes are in the order of their names' code points.
    """

    name: Literal["folder"] = "folder"
    root: str
    test_share: Annotated[float, Bounds(above=0, at_most=0.5)] = 0.2
    image_size: ImageSize = 32
    channels: Channels = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageList(FittedImages):
    """Images below `root` that text files list, one `path label` a line.

    `train`, `test` and, where there is one, `validation` are the lists. Those that are
    `expected` to be of a published set must have its counts.
    """

    name: Literal["image_list"] = "image_list"
    root: str
    train: str
    test: str
    validation: str | None = None
    expected: PublishedSet | None = None
    image_size: ImageSize = 32
    channels: Channels = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CifarLT(LongTailed):
    """CIFAR as torchvision stores it in the folder `root`; abstract.

    It is fetched where it is missing only with `download: true`. The cut, the images that it
    chooses, `mean` and `std` are those of the code released with the paper.
    """

    root: str
    download: bool = False
    imbalance_ratio: Ratio = 100.0
    mean: tuple[Real, ...] | None = (0.4914, 0.4822, 0.4465)
    std: tuple[Positive, ...] | None = (0.2023, 0.1994, 0.2010)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cifar10LT(CifarLT):
    """CIFAR-10 (Krizhevsky, 2009) cut to a long tail: 60,000 colour images of 32x32."""

    name: Literal["cifar10_lt"] = "cifar10_lt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cifar100LT(CifarLT):
    """CIFAR-100 (Krizhevsky, 2009) cut to a long tail: 60,000 colour images of 32x32."""

    name: Literal["cifar100_lt"] = "cifar100_lt"
