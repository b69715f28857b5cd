"""Chosen images of a source, decoded into one array.

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
from balpoe.data.decoding.image_threads import over_images
from balpoe.errors import DataError
from balpoe.method.long_tailed_counts import Indices

_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Decoding:
    """How images become pixels.

    Images of another size are `fitted` to the shape or refused; unreadable ones are `skipped`
    or refused. `threads` are threads that decode images into memory, or processes for a stream.
    """

    shape: ImageShape
    fitted: bool
    skipped: bool
    threads: int


@dataclass(frozen=True, eq=False, slots=True)
class DecodedImages:
    """Pixels, uint8 [N, H, W, D].

    `kept` are the ascending places of their rows among those asked for, `unreadable` says why
    those at the other places were left out.
    """

    images_nhwd: Tensor
    kept: Indices
    unreadable: Mapping[int, str]


def decode_rows(source: ImageSource, rows: Indices, decoding: Decoding) -> DecodedImages:
    """The images of these rows in this order, whatever the thread count.

    Raises:
        DataError: An image cannot be decoded or has another shape, and is not to be skipped or
            fitted; the message names it.
    """
    shape = decoding.shape
    images_nhwd = torch.empty(
        (len(rows), shape.height, shape.width, shape.channels), dtype=torch.uint8
    )
    pixels_nhwd = images_nhwd.numpy()
    rule = decode_fitted if decoding.fitted else decode

    def decode_into_place(position: int, row: int, encoded: bytes | Path) -> tuple[int, str | None]:
        try:
            pixels_nhwd[position] = rule(encoded, shape, source.place(row))
        except DataError as error:
            if not decoding.skipped:
                raise
            return position, str(error)
        return position, None

    results = over_images(source, rows, decoding.threads, decode_into_place)
    return _without(images_nhwd, {place: fault for place, fault in results if fault is not None})


def memory_gib(images: int, shape: ImageShape) -> float:
    """What so many decoded images take."""
    return images * shape.height * shape.width * shape.channels / _GIB


def _without(images_nhwd: Tensor, faults: dict[int, str]) -> DecodedImages:
    kept = np.setdiff1d(np.arange(len(images_nhwd)), np.array(list(faults), dtype=np.int64))
    if faults:
        images_nhwd = images_nhwd[torch.from_numpy(kept)]
    return DecodedImages(images_nhwd, kept, dict(sorted(faults.items())))
