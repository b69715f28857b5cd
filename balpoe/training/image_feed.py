"""The images of a step: gathered from all images in memory, or streamed to a buffer.

B batch, H height, W width, D channels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from balpoe.config import AugmentationConfig
from balpoe.data.decoding.streamed_images import StreamedImages
from balpoe.data.splits import Images, ImageSet, Normalisation
from balpoe.method.long_tailed_counts import Indices
from balpoe.training.augmentation.pixel_source import ImageGatherer, PixelSource
from balpoe.training.draws import Draws
from balpoe.training.orders import Order


class ImageFeed(ABC):
    """The images of all streams; a step gathers the images of each stream from its source.

    A learner has a stream, and a second one if the partners of its images come from the whole set.
    """

    sources: Sequence[ImageGatherer]

    @abstractmethod
    def epoch(self, orders: Sequence[Order]) -> AbstractContextManager[Callable[[], None]]:
        """Return the context of an epoch in which the streams visit images in these orders.

        Its value is to be called before each step: it loads the images of the step.
        """


def image_feed(
    images: Images,
    normalisation: Normalisation,
    augmentation: AugmentationConfig,
    *,
    streams: int,
    batch_size: int,
    device: torch.device,
) -> ImageFeed:
    """Return the feed for images that are in memory, or are streamed.

    Raises:
        DataError: augmentation policies need 1 or 3 channels.
    """
    if isinstance(images, ImageSet):
        return _MemoryFeed(PixelSource(images, normalisation, augmentation, device), streams)
    height, width, channels = images.shape_hwd
    buffers = [
        torch.zeros(batch_size, height, width, channels, dtype=torch.uint8, device=device)
        for _ in range(streams)
    ]
    sources = [_BufferSource(buffer_bhwd, normalisation, augmentation) for buffer_bhwd in buffers]
    return _StreamFeed(images, buffers, sources)


class _MemoryFeed(ImageFeed):
    """All streams gather from the same images in memory; nothing is loaded."""

    def __init__(self, source: PixelSource, streams: int) -> None:
        self.sources = [source] * streams

    def epoch(self, orders: Sequence[Order]) -> AbstractContextManager[Callable[[], None]]:
        return nullcontext(lambda: None)


class _StreamFeed(ImageFeed):
    """Each stream has a buffer of one batch, at a fixed address for CUDA graphs."""

    def __init__(
        self,
        images: StreamedImages,
        buffers: Sequence[Tensor],
        sources: Sequence[ImageGatherer],
    ) -> None:
        self._images = images
        self._buffers = buffers
        self.sources = sources

    @contextmanager
    def epoch(self, orders: Sequence[Order]) -> Iterator[Callable[[], None]]:
        size = len(self._buffers[0])
        with closing(self._images.batches(_interleaved(orders, size), size)) as batches:

            def load_images() -> None:
                for buffer_bhwd in self._buffers:
                    images_bhwd = next(batches)
                    if buffer_bhwd.is_cuda:
                        images_bhwd = images_bhwd.pin_memory()  # makes the copy asynchronous
                    buffer_bhwd[: len(images_bhwd)].copy_(images_bhwd, non_blocking=True)

            yield load_images


class _BufferSource:
    """Gather the images of a step from a buffer that holds them in the order of the step."""

    def __init__(
        self, buffer_bhwd: Tensor, normalisation: Normalisation, augmentation: AugmentationConfig
    ) -> None:
        unused = torch.zeros(len(buffer_bhwd), dtype=torch.int64)
        buffered = ImageSet(buffer_bhwd, unused)
        self._source = PixelSource(buffered, normalisation, augmentation, buffer_bhwd.device)
        self._places_1b = torch.arange(len(buffer_bhwd), device=buffer_bhwd.device)[None]

    def batch(self, draws: Draws) -> Tensor:
        return self._source.batch(replace(draws, order_sb=self._places_1b[:, : draws.batch_size]))


def _interleaved(orders: Sequence[Order], batch_size: int) -> Iterator[Indices]:
    """Yield the images of the first step of every stream, of the second step, and so on."""
    for start in range(0, len(orders[0]), batch_size):
        for order_n in orders:
            yield order_n[start : start + batch_size].astype(np.int64)
