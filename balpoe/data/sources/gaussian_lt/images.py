"""Images drawn from a Gaussian around each class's prototype.

N images, C classes, P = H·W·D pixels of an image, G = 256 grey levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray

from balpoe.data.description import describe_final, describe_search
from balpoe.data.source import Source
from balpoe.data.sources.gaussian_lt import GaussianLT
from balpoe.data.sources.gaussian_lt.likelihood import log_likelihood
from balpoe.data.splits import FinalSplits, ImageSet, SearchSplits
from balpoe.method.long_tailed_counts import class_counts

_MID_GREY = 127.5


class _Stream(IntEnum):
    """Independent streams of random numbers, so that the length of one does not change another."""

    PROTOTYPES = 0
    TRAIN = 1
    VALIDATION = 2
    TEST = 3


class Gaussian(Source):
    """Splits of images drawn from a Gaussian for each class."""

    def __init__(self, settings: GaussianLT) -> None:
        self._settings = settings

    def search_splits(self) -> SearchSplits:
        """Return the long tail, and balanced validation images with log P(x|y)."""
        config = self._settings
        validation = _with_likelihood(_draw_balanced(config, _Stream.VALIDATION), config)
        return describe_search(_draw_long_tail(config), validation, _class_names(config))

    def final_splits(self) -> FinalSplits:
        """Return the same long tail, and balanced test images with log P(x|y)."""
        config = self._settings
        test = _with_likelihood(_draw_balanced(config, _Stream.TEST), config)
        return describe_final(_draw_long_tail(config), test, _class_names(config))


def prototypes(config: GaussianLT) -> NDArray[np.float64]:
    """Draw the mean image of every class, before rounding and clipping: grey levels [C, P]."""
    pixels = config.image_size**2 * config.channels
    generator = _generator(config, _Stream.PROTOTYPES)
    return _MID_GREY + config.contrast * generator.standard_normal((config.classes, pixels))


def _class_names(config: GaussianLT) -> tuple[str, ...]:
    return tuple(str(y) for y in range(config.classes))


def _draw_long_tail(config: GaussianLT) -> ImageSet:
    counts = class_counts(config.head_count, config.imbalance_ratio, config.classes)
    return _draw(config, _Stream.TRAIN, counts)


def _draw_balanced(config: GaussianLT, stream: _Stream) -> ImageSet:
    validation = stream is _Stream.VALIDATION
    per_class = config.validation_per_class if validation else config.test_per_class
    return _draw(config, stream, [per_class] * config.classes)


def _draw(config: GaussianLT, stream: _Stream, counts: Sequence[int]) -> ImageSet:
    """Draw each class from a stream of its own, so that a smaller cut is a subset."""
    drawn = []
    for y, (prototype, count) in enumerate(zip(prototypes(config), counts, strict=True)):
        noise = _generator(config, stream, y).standard_normal((count, len(prototype)))
        levels = np.clip(np.rint(prototype + config.noise * noise), 0, 255)
        drawn.append(levels.astype(np.uint8))
    shape = (-1, config.image_size, config.image_size, config.channels)
    labels_n = np.repeat(np.arange(config.classes, dtype=np.int64), counts)
    return ImageSet(
        torch.from_numpy(np.concatenate(drawn).reshape(shape)), torch.from_numpy(labels_n)
    )


def _with_likelihood(images: ImageSet, config: GaussianLT) -> ImageSet:
    means_cp = torch.from_numpy(prototypes(config))
    log_likelihood_nc = log_likelihood(images.images_nhwd.flatten(1), means_cp, config.noise)
    return ImageSet(images.images_nhwd, images.labels_n, log_likelihood_nc)


def _generator(config: GaussianLT, *stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(config.subset_seed, spawn_key=stream))
