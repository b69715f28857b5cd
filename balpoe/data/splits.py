"""Labelled images, and the splits of a search and of a final training.

N images, H height, W width, D channels, C classes.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from balpoe.data.decoding.streamed_images import StreamedImages
from balpoe.data.image_locations import ImageLocations


@dataclass(frozen=True, eq=False, slots=True)
class ImageSet:
    """Images in memory with their labels.

    `images_nhwd` is uint8 [N, H, W, D], in channels-last memory order; `labels_n` is int64 [N]. If
    P(x|y) is known, `log_likelihood_nc` is log P(x|y), float64 [N, C], up to a constant per image.
    """

    images_nhwd: Tensor
    labels_n: Tensor
    log_likelihood_nc: Tensor | None = None

    def __post_init__(self) -> None:
        assert self.images_nhwd.dtype == torch.uint8
        assert self.images_nhwd.ndim == 4
        assert self.labels_n.dtype == torch.int64
        assert len(self.images_nhwd) == len(self.labels_n)

    def __len__(self) -> int:
        return len(self.labels_n)

    @property
    def compact_labels_n(self) -> Tensor:
        """The labels, as in `StreamedImages`."""
        return self.labels_n

    @property
    def shape_hwd(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        _, height, width, channels = self.images_nhwd.shape
        return height, width, channels

    def first(self, count: int) -> ImageSet:
        """Return only the first `count` images."""
        log_likelihood_nc = self.log_likelihood_nc
        return ImageSet(
            self.images_nhwd[:count],
            self.labels_n[:count],
            None if log_likelihood_nc is None else log_likelihood_nc[:count],
        )

    def in_order(self, batch_size: int) -> Generator[Tensor, None, None]:
        """Yield all images, uint8 [B, H, W, D]."""
        yield from torch.split(self.images_nhwd, batch_size)


Images: TypeAlias = ImageSet | StreamedImages
"""The images of a split, in memory or streamed, with the same interface."""


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and standard deviation per channel, of pixels scaled to 0..1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class DataDescription:
    """The properties of the training data that are stored with a model.

    `class_counts` has the number of training images of each class; `fingerprint` is the sha256 of
    the splits, the class names and the normalisation.
    """

    class_names: tuple[str, ...]
    class_counts: tuple[int, ...]
    height: int
    width: int
    channels: int
    normalisation: Normalisation
    fingerprint: str


@dataclass(frozen=True, eq=False, slots=True)
class SearchSplits:
    """The splits of a search, without test images; `remarks` are warnings for the user.

    `has_own_validation` says whether the validation split is one of the set's own.
    """

    train: Images
    validation: Images
    description: DataDescription
    remarks: tuple[str, ...] = ()
    has_own_validation: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class FinalSplits:
    """The splits of final training and evaluation: the whole training set, and the test set.

    `test_locations` are where the test images are stored; None numbers them from 0.
    `own_validation` is the number of training images that are the set's own validation split, 0 if
    that split is not used; None for a set without one.
    """

    train: Images
    test: Images
    description: DataDescription
    remarks: tuple[str, ...] = ()
    test_locations: ImageLocations | None = None
    own_validation: int | None = None
