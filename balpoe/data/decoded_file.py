"""Chosen rows of a Parquet file of images, decoded into one array.

N images, H height, W width, D channels.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from balpoe.data.decoding import ImageShape, decode, image_shape
from balpoe.data.image_file import EncodedImages, LabelledImageFile
from balpoe.longtail import Indices

_IMAGES_PER_TASK = 64


def shape_of_first_image(file: LabelledImageFile) -> ImageShape:
    """The shape of row 0, which all images of a data set must have."""
    (first,) = file.encoded_images(np.zeros(1, dtype=np.int64))
    return image_shape(first.encoded[0], file.place(0))


def decode_rows(file: LabelledImageFile, rows: Indices, shape: ImageShape, threads: int) -> Tensor:
    """The images of these rows in this order, uint8 [N, H, W, D], whatever the thread count.

    Raises:
        DataError: An image cannot be decoded or has another shape; the message names its row.
    """
    size = (len(rows), shape.height, shape.width, shape.channels)
    images_nhwd = torch.empty(size, dtype=torch.uint8)
    pixels_nhwd = images_nhwd.numpy()

    def decode_slice(group: EncodedImages, start: int) -> None:
        here = slice(start, start + _IMAGES_PER_TASK)
        for position, row, encoded in zip(
            group.positions[here], group.rows[here], group.encoded[here], strict=True
        ):
            pixels_nhwd[position] = decode(encoded, shape, file.place(row))

    # Pillow releases the interpreter lock while it decodes.
    with ThreadPoolExecutor(threads) as pool:
        for group in file.encoded_images(rows):
            starts = range(0, len(group.rows), _IMAGES_PER_TASK)
            for decoded in [pool.submit(decode_slice, group, start) for start in starts]:
                decoded.result()
    return images_nhwd
