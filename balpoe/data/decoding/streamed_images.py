"""Images that are too many for memory: each batch is decoded when it is needed.

A label takes one to four bytes of memory; of the images nothing stays there. Only while they are
looked for are the names of a list or a folder in memory: with 200,000 names of 40 characters at
most 110 and 135 bytes an image.

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
    """Images with their labels, the counterpart of `ImageSet` on disk.

    `compact_labels_n` are of the smallest integer type that holds them. Of such images P(x|y)
    is never known.
    """

    files: StoreFiles
    decoding: Decoding
    compact_labels_n: Tensor

    def __len__(self) -> int:
        return len(self.compact_labels_n)

    @property
    def labels_n(self) -> Tensor:
        """The labels as int64 [N], made when asked for."""
        return self.compact_labels_n.long()

    @property
    def log_likelihood_nc(self) -> None:
        """Nothing."""
        return

    @property
    def shape_hwd(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        shape = self.decoding.shape
        return shape.height, shape.width, shape.channels

    @property
    def images_nhwd(self) -> Tensor:
        """All images, uint8 [N, H, W, D], decoded when asked for: where they fit in memory."""
        (batch,) = self.in_order(len(self))
        return batch

    def first(self, count: int) -> StreamedImages:
        """The first images alone."""
        return replace(self, compact_labels_n=self.compact_labels_n[:count])

    def in_order(self, batch_size: int) -> Generator[Tensor, None, None]:
        """All images, uint8 [B, H, W, D], each batch to be used before the next is taken.

        Raises:
            DataError: An image cannot be decoded or has another shape; the message names it.
            WorkerDied: A decoding process was killed.
        """
        return self.batches(self._numbers(batch_size), batch_size)

    def batches(self, numbers: Iterable[Indices], batch_size: int) -> Generator[Tensor, None, None]:
        """The images of these numbers, at most `batch_size` at a time, as `in_order`."""
        with closing(self._decoded(numbers, batch_size)) as batches:
            for batch in batches:
                for fault in batch.faults.values():
                    raise DataError(fault)
                yield batch.images_bhwd

    def unreadable(self) -> dict[int, str]:
        """Why images cannot be decoded, by their numbers; decodes all.

        Raises:
            WorkerDied: A decoding process was killed.
        """
        faults: dict[int, str] = {}
        with closing(self._decoded(self._numbers(_CHECKED_AT_ONCE), _CHECKED_AT_ONCE)) as batches:
            for batch in batches:
                faults |= batch.faults
        return dict(sorted(faults.items()))

    def without(self, left_out: Mapping[int, str]) -> StreamedImages:
        """The other images, numbered anew."""
        kept = np.setdiff1d(np.arange(len(self)), np.array(list(left_out), dtype=np.int64))
        labels_n = self.compact_labels_n[torch.from_numpy(kept)]
        return StreamedImages(self.files.chosen(kept), self.decoding, labels_n)

    def _numbers(self, batch_size: int) -> Iterator[Indices]:
        for start in range(0, len(self), batch_size):
            yield np.arange(start, min(start + batch_size, len(self)))

    def _decoded(
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
    """The images of these rows in this order, whatever the number of processes.

    Raises:
        DataError: The source is damaged.
        StorageError: There is no space in the directory for temporary files.
    """
    labels_n = torch.from_numpy(images.labels_n[rows])
    types = (torch.uint8, torch.int16, torch.int32)
    smallest = next(of for of in types if labels_n.max() <= torch.iinfo(of).max)
    return StreamedImages(write_store(images.source, rows), decoding, labels_n.to(smallest))
