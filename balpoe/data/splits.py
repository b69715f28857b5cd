"""Labelled images, and the splits that a search and a final training may see.

N images, H height, W width, D channels, C classes.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from balpoe.data.decoding.streamed_images import StreamedImages


@dataclass(frozen=True, eq=False, slots=True)
class ImageSet:
    """Images in memory with their labels.

    `images_nhwd` is uint8 [N, H, W, D] (pixels lie together: a gather copies whole pixels,
    and the result is channels-last as it stands), `labels_n` int64 [N]. Where P(x|y) is
    known, `log_likelihood_nc` holds log P(x|y) as float64 [N, C], up to a constant per image.
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
        """The labels."""
        return self.labels_n

    @property
    def shape_hwd(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        _, height, width, channels = self.images_nhwd.shape
        return height, width, channels

    def first(self, count: int) -> ImageSet:
        """The first images alone."""
        known = self.log_likelihood_nc
        return ImageSet(
            self.images_nhwd[:count],
            self.labels_n[:count],
            None if known is None else known[:count],
        )

    def in_order(self, batch_size: int) -> Generator[Tensor, None, None]:
        """All images, uint8 [B, H, W, D]."""
        yield from torch.split(self.images_nhwd, batch_size)


Images: TypeAlias = ImageSet | StreamedImages
"""The images of a split, in memory or streamed, by one protocol."""


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and standard deviation per channel, of pixels scaled to 0..1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class DataDescription:
    """What a model must know of the data it was trained on.

    `class_counts` are the training images of each class, `fingerprint` is the sha256 over
    the content of the splits, the class names and the normalisation.
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
    """What a search may see: never the test images; `remarks` are for people to weigh."""

    train: Images
    validation: Images
    description: DataDescription
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class FinalSplits:
    """What final training and the final evaluation see: the whole training set, and test."""

    train: Images
    test: Images
    description: DataDescription
    remarks: tuple[str, ...] = ()
