"""Decoding of images into one array in memory.

N images, H height, W width, D channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from balpoe.data.decoding.encoded_images import ImageSource
from balpoe.data.decoding.image_decoding import ImageShape, decode, decode_fitted
from balpoe.data.decoding.image_threads import map_images
from balpoe.errors import DataError
from balpoe.method.long_tailed_counts import Indices

_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Decoding:
    """How images are decoded.

    Images of another size are scaled and cropped to `shape` if `fitted` is set, and refused
    otherwise. Unreadable images are left out if `skipped` is set, and refused otherwise. `threads`
    is the number of threads that decode into memory, or of processes that decode a stream.
    """

    shape: ImageShape
    fitted: bool
    skipped: bool
    threads: int


@dataclass(frozen=True, eq=False, slots=True)
class DecodedImages:
    """Pixels, uint8 [N, H, W, D].

    `kept` holds the ascending positions of the decoded images among the requested rows;
    `unreadable` maps the other positions to the reason.
    """

    images_nhwd: Tensor
    kept: Indices
    unreadable: Mapping[int, str]


def decode_rows(source: ImageSource, rows: Indices, decoding: Decoding) -> DecodedImages:
    """Decode the images of these rows in this order; the result is the same for any thread count.

    Raises:
        DataError: An image cannot be decoded and is not skipped, or has another shape and is not
            fitted; the message names the image.
    """
    shape = decoding.shape
    images_nhwd = torch.empty(
        (len(rows), shape.height, shape.width, shape.channels), dtype=torch.uint8
    )
    pixels_nhwd = images_nhwd.numpy()
    decode_image = decode_fitted if decoding.fitted else decode

    def decode_row(position: int, row: int, encoded: bytes | Path) -> tuple[int, str | None]:
        try:
            pixels_nhwd[position] = decode_image(encoded, shape, source.place(row))
        except DataError as error:
            if not decoding.skipped:
                raise
            return position, str(error)
        return position, None

    results = map_images(source, rows, decoding.threads, decode_row)
    unreadable = {position: reason for position, reason in results if reason is not None}
    kept = np.setdiff1d(np.arange(len(rows)), np.array(list(unreadable), dtype=np.int64))
    if unreadable:
        images_nhwd = images_nhwd[torch.from_numpy(kept)]
    return DecodedImages(images_nhwd, kept, dict(sorted(unreadable.items())))


def memory_gib(images: int, shape: ImageShape) -> float:
    """Return the memory that this number of decoded images takes, in GiB."""
    return images * shape.height * shape.width * shape.channels / _GIB
