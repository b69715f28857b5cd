"""Images (JPEG, PNG and what else Pillow reads) to pixels of one shape.

The rule for images of other sizes and colours stands here alone, in `fit_image`: training data
and the images that a model is asked about later go through it alike. Of animations and files
with several pages the first image counts. Grey of 16 bits is refused, and so is colour of 16
bits a channel (PNG, TIFF, SGI), of which Pillow would keep the upper 8 without a word.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from balpoe.errors import DataError

_GREY_MODES = frozenset({"1", "L"})
_COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "P", "PA", "LA", "CMYK", "YCbCr"})
_EIGHT_BIT_MODES = _GREY_MODES | _COLOUR_MODES
# How Pillow calls samples of 16 bits in a file. Without a letter for the order of their bytes
# (BGR;16) it means pixels of 16 bits in all.
_SIXTEEN_BITS = re.compile(r";16[BLNRS]")


@dataclass(frozen=True, slots=True)
class ImageShape:
    """Height and width in pixels, and 1 (grey) or 3 (red, green, blue) channels."""

    height: int
    width: int
    channels: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width} {'grey' if self.channels == 1 else 'colour'}"


def fit_image(image: Image.Image, shape: ImageShape, place: str) -> NDArray[np.uint8]:
    """Pixels [H, W, D] of an image of any size, scaled without stretching and cut to `shape`.

    The image is turned upright as its EXIF orientation says, and converted to grey (the luma of
    ITU-R 601-2) or colour; transparency is dropped. Then it is scaled, antialiased and bilinear,
    until it just covers the shape, and cut around its centre: for a square, the shorter side
    gets its size. An image that has the size already keeps its pixels.

    Args:
        image: Any image of at most 8 bits a channel.
        shape: What comes out.
        place: How the message calls the image.

    Raises:
        DataError: The image cannot be decoded, or has more than 8 bits a channel.
    """
    with _blaming(place):
        upright = _upright(image, place).convert(_mode(shape))
        fitted = ImageOps.fit(upright, (shape.width, shape.height), Image.Resampling.BILINEAR)
        return _pixels(fitted, shape)


def image_shape(encoded: bytes | Path, place: str) -> ImageShape:
    """The shape of an encoded image, upright.

    Raises:
        DataError: The image cannot be decoded, or has more than 8 bits a channel.
    """
    with opened(encoded, place) as image:
        return _shape(_upright(image, place))


def decode(encoded: bytes | Path, shape: ImageShape, place: str) -> NDArray[np.uint8]:
    """Pixels [H, W, D] of an encoded image that has this size; grey may become colour.

    Raises:
        DataError: The image cannot be decoded, has more than 8 bits a channel, or is not of
            this shape.
    """
    with opened(encoded, place) as image:
        upright = _upright(image, place)
        found = _shape(upright)
        fits = (found.height, found.width) == (shape.height, shape.width)
        if not fits or found.channels > shape.channels:
            raise DataError(
                f"{place}: the image is {found}, but the first of the training file is "
                f"{shape}: set data.image_size, or bring all images to one size and colour mode"
            )
        with _blaming(place):
            return _pixels(upright.convert(_mode(shape)), shape)


def decode_fitted(encoded: bytes | Path, shape: ImageShape, place: str) -> NDArray[np.uint8]:
    """Pixels [H, W, D] of an encoded image of any size, by the rule of `fit_image`.

    Raises:
        DataError: The image cannot be decoded, or has more than 8 bits a channel.
    """
    with opened(encoded, place) as image:
        return fit_image(image, shape, place)


def decode_whole(encoded: bytes | Path, place: str) -> NDArray[np.uint8]:
    """Pixels [H, W, D] of an encoded image as it is: of its own size, grey or colour, upright.

    Raises:
        DataError: The image cannot be decoded, or has more than 8 bits a channel.
    """
    with opened(encoded, place) as image:
        upright = _upright(image, place)
        shape = _shape(upright)
        with _blaming(place):
            return _pixels(upright.convert(_mode(shape)), shape)


def decode_shrunk(encoded: bytes | Path, shorter: int, channels: int, place: str) -> Image.Image:
    """An encoded image, upright, its shorter side scaled to `shorter` pixels where it has more.

    Raises:
        DataError: The image cannot be decoded, or has more than 8 bits a channel.
    """
    with opened(encoded, place) as image:
        upright = _upright(image, place)
        with _blaming(place):
            converted = upright.convert("L" if channels == 1 else "RGB")
            scale = shorter / min(converted.size)
            if scale >= 1:
                return converted
            width, height = (max(shorter, round(scale * side)) for side in converted.size)
            return converted.resize((width, height), Image.Resampling.BILINEAR)


@contextmanager
def opened(encoded: bytes | Path, place: str) -> Iterator[Image.Image]:
    """An encoded image, of which so far only the header was read.

    Raises:
        DataError: The file cannot be read, or Pillow does not know the format.
    """
    content = _content(encoded, place) if isinstance(encoded, Path) else encoded
    with _blaming(place):
        image = Image.open(io.BytesIO(content))
    with image:
        yield image


def _content(path: Path, place: str) -> bytes:
    try:
        return file_content(path, place)
    except OSError as error:
        raise DataError(f"{place}: the image cannot be read ({error.strerror})") from error


def file_content(path: str | os.PathLike[str], place: str) -> bytes:
    """What is in a regular file; a pipe, a socket or a device might never come to an end.

    Raises:
        DataError: it is none.
        OSError: it cannot be read.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise DataError(f"{place}: is a pipe, socket or device: give a file of its own")
        return file.read()


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; else a pipe would open only when somebody writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


@contextmanager
def _blaming(place: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(
            f"{place}: the image cannot be decoded (of no format that Pillow reads): repair or "
            f"remove it"
        ) from error
    # Pillow's decoders let through whatever damaged bytes make them run into: OSError,
    # SyntaxError, ValueError, struct.error, DecompressionBombError and more.
    except Exception as error:
        raise DataError(
            f"{place}: the image cannot be decoded ({error}): repair or remove it"
        ) from error


def _upright(image: Image.Image, place: str) -> Image.Image:
    mode = _sixteen_bit_mode(image) if image.mode in _EIGHT_BIT_MODES else image.mode
    if mode is not None:
        raise DataError(
            f"{place}: images of mode {mode} are not supported: convert them to 8 bits a "
            f"channel, grey (L) or colour (RGB)"
        )
    with _blaming(place):
        upright = ImageOps.exif_transpose(image)
    upright.info.pop("transparency", None)  # dropped; Pillow would warn
    return upright


def _sixteen_bit_mode(image: Image.Image) -> str | None:
    """The mode of the samples in the image's file, where they have 16 bits."""
    for tile in getattr(image, "tile", ()):  # of images that are not yet decoded
        arguments = (tile.args,) if isinstance(tile.args, str) else tile.args or ()
        for argument in arguments:
            if isinstance(argument, str) and _SIXTEEN_BITS.search(argument):
                return argument
    return None


def _shape(image: Image.Image) -> ImageShape:
    return ImageShape(image.height, image.width, 1 if image.mode in _GREY_MODES else 3)


def _mode(shape: ImageShape) -> str:
    return "L" if shape.channels == 1 else "RGB"


def _pixels(image: Image.Image, shape: ImageShape) -> NDArray[np.uint8]:
    return np.array(image).reshape(shape.height, shape.width, shape.channels)
