"""How a step finds its images: all in memory, or only those of the step, streamed there.

B batch, H height, W width, D channels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from balpoe.config import AugmentationConfig
from balpoe.data.decoding.streamed_images import StreamedImages
from balpoe.data.splits import Images, ImageSet, Normalisation
from balpoe.method.longtail import Indices
from balpoe.training.augmentation.pixel_source import ImageGatherer, PixelSource
from balpoe.training.draws import Draws

Order = npt.NDArray[np.int32]


class ImageFeed(ABC):
    """Brings every learner its images; `sources` are what its steps gather them from."""

    sources: Sequence[ImageGatherer]

    @abstractmethod
    def epoch(self, orders: Sequence[Order]) -> AbstractContextManager[Callable[[], None]]:
        """The context of an epoch in which the learners visit the images in these orders.

        Before each step, what the context gives is called: it brings the step's images.
        """


def image_feed(
    images: Images,
    normalisation: Normalisation,
    augmentation: AugmentationConfig,
    *,
    learners: int,
    batch_size: int,
    device: torch.device,
) -> ImageFeed:
    """The feed for images that lie in memory, or are streamed.

    Raises:
        DataError: Colours are to be changed in images that have none, or too many.
    """
    if isinstance(images, ImageSet):
        return _MemoryFeed(PixelSource(images, normalisation, augmentation, device), learners)
    height, width, channels = images.shape_hwd
    buffers = [
        torch.zeros(batch_size, height, width, channels, dtype=torch.uint8, device=device)
        for _ in range(learners)
    ]
    sources = [_BufferSource(buffer_bhwd, normalisation, augmentation) for buffer_bhwd in buffers]
    return _StreamFeed(images, buffers, sources)


class _MemoryFeed(ImageFeed):
    """All learners gather from the same images; nothing is to be brought."""

    def __init__(self, source: PixelSource, learners: int) -> None:
        self.sources = [source] * learners

    def epoch(self, orders: Sequence[Order]) -> AbstractContextManager[Callable[[], None]]:
        return nullcontext(lambda: None)


class _StreamFeed(ImageFeed):
    """Each learner gathers from a buffer of one batch, which stays in its place."""

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
        with closing(self._images.batches(_in_turns(orders, size), size)) as batches:

            def bring() -> None:
                for buffer_bhwd in self._buffers:
                    images_bhwd = next(batches)
                    if buffer_bhwd.is_cuda:
                        images_bhwd = images_bhwd.pin_memory()  # its copy need not be awaited
                    buffer_bhwd[: len(images_bhwd)].copy_(images_bhwd, non_blocking=True)

            yield bring


class _BufferSource:
    """Gathers the images of a step from where they lie in the order of the step."""

    def __init__(
        self, buffer_bhwd: Tensor, normalisation: Normalisation, augmentation: AugmentationConfig
    ) -> None:
        unused = torch.zeros(len(buffer_bhwd), dtype=torch.int64)
        buffered = ImageSet(buffer_bhwd, unused)
        self._source = PixelSource(buffered, normalisation, augmentation, buffer_bhwd.device)
        self._places_1b = torch.arange(len(buffer_bhwd), device=buffer_bhwd.device)[None]

    def batch(self, draws: Draws) -> Tensor:
        return self._source.batch(replace(draws, order_sb=self._places_1b[:, : draws.batch_size]))


def _in_turns(orders: Sequence[Order], batch_size: int) -> Iterator[Indices]:
    """The images of the first step of every learner, of the second step, and so on."""
    for start in range(0, len(orders[0]), batch_size):
        for order_n in orders:
            yield order_n[start : start + batch_size].astype(np.int64)
