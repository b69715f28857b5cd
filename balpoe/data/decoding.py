"""Encoded images (JPEG, PNG and what else Pillow reads) to pixels."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from balpoe.errors import DataError

_GREY_MODES = frozenset({"1", "L"})
_COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "P", "PA", "LA", "CMYK", "YCbCr"})


@dataclass(frozen=True, slots=True)
class ImageShape:
    """Height and width in pixels, and 1 (grey) or 3 (red, green, blue) channels."""

    height: int
    width: int
    channels: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width} {'grey' if self.channels == 1 else 'colour'}"


def image_shape(encoded: bytes, place: str) -> ImageShape:
    """The shape of an encoded image, from its header.

    Raises:
        DataError: The image cannot be decoded, or has more than 8 bits a channel.
    """
    with _opened(encoded, place) as image:
        return _shape(image, place)


def decode(encoded: bytes, shape: ImageShape, place: str) -> NDArray[np.uint8]:
    """Pixels [H, W, D] of an encoded image; transparency is dropped, grey may become colour.

    Raises:
        DataError: The image cannot be decoded, has more than 8 bits a channel, or is not of
            this shape.
    """
    with _opened(encoded, place) as image:
        found = _shape(image, place)
        fits = (found.height, found.width) == (shape.height, shape.width)
        if not fits or found.channels > shape.channels:
            raise DataError(
                f"{place}: the image is {found}, but the first of the training file is "
                f"{shape}: bring all images to one size and one colour mode"
            )
        mode = "L" if shape.channels == 1 else "RGB"
        with _blaming(place):
            pixels = np.asarray(image if image.mode == mode else image.convert(mode))
        return pixels.reshape(shape.height, shape.width, shape.channels)


@contextmanager
def _opened(encoded: bytes, place: str) -> Iterator[Image.Image]:
    with _blaming(place):
        image = Image.open(io.BytesIO(encoded))
    with image:
        yield image


@contextmanager
def _blaming(place: str) -> Iterator[None]:
    try:
        yield
    # Pillow's decoders let through whatever damaged bytes make them run into: OSError,
    # SyntaxError, ValueError, struct.error, DecompressionBombError and more.
    except Exception as error:
        raise DataError(
            f"{place}: the image cannot be decoded ({error}): repair or remove it"
        ) from error


def _shape(image: Image.Image, place: str) -> ImageShape:
    if image.mode not in _GREY_MODES | _COLOUR_MODES:
        raise DataError(
            f"{place}: images of mode {image.mode} are not supported: convert them to 8 bits a "
            f"channel, grey (L) or colour (RGB)"
        )
    channels = 1 if image.mode in _GREY_MODES else 3
    return ImageShape(image.height, image.width, channels)
