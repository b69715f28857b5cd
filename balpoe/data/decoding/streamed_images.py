"""Images that do not fit in memory: each batch is decoded when it is needed.

Memory holds one to four bytes per label and no images. The names of a list or a folder are in
memory only while the source is read: at most 110 and 135 bytes per image for 200,000 names of 40
characters.

N images, B batch, H height, W width, D channels, C classes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from balpoe.data.decoding.decoded_images import Decoding
from balpoe.data.decoding.decoding_pool import DecodedBatch, decoded_batches
from balpoe.data.decoding.encoded_images import LabelledImages
from balpoe.data.decoding.encoded_store_writer import StoreFiles, write_store
from balpoe.errors import DataError
from balpoe.method.long_tailed_counts import Indices

_CHECKED_AT_ONCE = 256


@dataclass(frozen=True, eq=False, slots=True)
class StreamedImages:
    """Labelled images on disk, with the interface of `ImageSet`.

    `compact_labels_n` has the smallest integer type that holds the labels. P(x|y) is never known.
    """

    files: StoreFiles
    decoding: Decoding
    compact_labels_n: Tensor

    def __len__(self) -> int:
        return len(self.compact_labels_n)

    @property
    def labels_n(self) -> Tensor:
        """The labels, int64 [N]; each access converts them."""
        return self.compact_labels_n.long()

    @property
    def log_likelihood_nc(self) -> None:
        """None: the class densities of streamed images are not known."""
        return

    @property
    def shape_hwd(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        shape = self.decoding.shape
        return shape.height, shape.width, shape.channels

    @property
    def images_nhwd(self) -> Tensor:
        """All images, uint8 [N, H, W, D]; each access decodes them into memory."""
        (batch,) = self.in_order(len(self))
        return batch

    def first(self, count: int) -> StreamedImages:
        """Return only the first `count` images."""
        return replace(self, compact_labels_n=self.compact_labels_n[:count])

    def in_order(self, batch_size: int) -> Generator[Tensor, None, None]:
        """Yield all images, uint8 [B, H, W, D]; a batch is valid until the next one is taken.

        Raises:
            DataError: An image cannot be decoded or has another shape; the message names the image.
            WorkerDied: A decoding process was killed.
        """
        return self.batches(self._numbers(batch_size), batch_size)

    def batches(self, numbers: Iterable[Indices], batch_size: int) -> Generator[Tensor, None, None]:
        """Yield batches of these image numbers, at most `batch_size` each; else like `in_order`."""
        with closing(self._decoded_batches(numbers, batch_size)) as batches:
            for batch in batches:
                for fault in batch.faults.values():
                    raise DataError(fault)
                yield batch.images_bhwd

    def unreadable(self) -> dict[int, str]:
        """Decode all images and return the messages of those that fail, by image number.

        Raises:
            WorkerDied: A decoding process was killed.
        """
        faults: dict[int, str] = {}
        numbers = self._numbers(_CHECKED_AT_ONCE)
        with closing(self._decoded_batches(numbers, _CHECKED_AT_ONCE)) as batches:
            for batch in batches:
                faults |= batch.faults
        return dict(sorted(faults.items()))

    def without(self, left_out: Mapping[int, str]) -> StreamedImages:
        """Return the images that are not in `left_out`, renumbered from 0."""
        kept = np.setdiff1d(np.arange(len(self)), np.array(list(left_out), dtype=np.int64))
        labels_n = self.compact_labels_n[torch.from_numpy(kept)]
        return StreamedImages(self.files.subset(kept), self.decoding, labels_n)

    def _numbers(self, batch_size: int) -> Iterator[Indices]:
        for start in range(0, len(self), batch_size):
            yield np.arange(start, min(start + batch_size, len(self)))

    def _decoded_batches(
        self, numbers: Iterable[Indices], batch_size: int
    ) -> Generator[DecodedBatch, None, None]:
        return decoded_batches(
            self.files.store,
            numbers,
            batch_size=batch_size,
            shape=self.decoding.shape,
            fitted=self.decoding.fitted,
            workers=self.decoding.threads,
        )


def stream_rows(images: LabelledImages, rows: Indices, decoding: Decoding) -> StreamedImages:
    """Prepare the images of these rows for streaming, numbered in this order.

    Raises:
        DataError: The source is damaged.
        StorageError: The directory for temporary files cannot be written.
    """
    labels_n = torch.from_numpy(images.labels_n[rows])
    types = (torch.uint8, torch.int16, torch.int32)
    smallest = next(dtype for dtype in types if labels_n.max() <= torch.iinfo(dtype).max)
    return StreamedImages(write_store(images.source, rows), decoding, labels_n.to(smallest))
