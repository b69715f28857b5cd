"""Decoding of images in any format of Pillow to pixels of one shape.

`fit_image` scales and crops images of other sizes, in training and in prediction. Only the first
image of an animation or a multi-page file is used. Images of more than 8 bits a channel are
refused.
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
# Pillow's raw modes with 16 bits a sample; it would silently keep the upper 8 bits (PNG, TIFF,
# SGI). Without a letter for the byte order (BGR;16) the 16 bits are those of a whole pixel.
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
    """Scale an image without distortion, crop it to `shape` and return its pixels [H, W, D].

    The image is rotated according to its EXIF orientation and converted to grey (the luma of
    ITU-R 601-2) or colour; transparency is dropped. It is scaled to the smallest size that covers
    `shape` (bilinear, with antialiasing) and cropped around its centre. The pixels of an image that
    already has the size are not changed.

    Args:
        image: An image of at most 8 bits a channel.
        shape: The shape of the result.
        place: The name of the image in messages.

    Raises:
        DataError: The image cannot be decoded, or has more than 8 bits a channel.
    """
    with _decoding_errors(place):
        upright = _upright(image, place).convert(_mode(shape))
        fitted = ImageOps.fit(upright, (shape.width, shape.height), Image.Resampling.BILINEAR)
        return _pixels(fitted, shape)


def image_shape(encoded: bytes | Path, place: str) -> ImageShape:
    """Return the shape of an encoded image after EXIF rotation.

    Raises:
        DataError: The image cannot be decoded, or has more than 8 bits a channel.
    """
    with open_image(encoded, place) as image:
        return _shape(_upright(image, place))


def decode(encoded: bytes | Path, shape: ImageShape, place: str) -> NDArray[np.uint8]:
    """Return the pixels [H, W, D] of an encoded image of this size; grey may become colour.

    Raises:
        DataError: The image cannot be decoded, has more than 8 bits a channel, or is not of
            this shape.
    """
    with open_image(encoded, place) as image:
        upright = _upright(image, place)
        actual = _shape(upright)
        same_size = (actual.height, actual.width) == (shape.height, shape.width)
        if not same_size or actual.channels > shape.channels:
            raise DataError(
                f"{place}: the image is {actual}, but the first of the training file is "
                f"{shape}: set data.image_size, or convert all images to one size and colour mode"
            )
        with _decoding_errors(place):
            return _pixels(upright.convert(_mode(shape)), shape)


def decode_fitted(encoded: bytes | Path, shape: ImageShape, place: str) -> NDArray[np.uint8]:
    """Return the pixels [H, W, D] of an encoded image, scaled and cropped by `fit_image`.

    Raises:
        DataError: The image cannot be decoded, or has more than 8 bits a channel.
    """
    with open_image(encoded, place) as image:
        return fit_image(image, shape, place)


def decode_whole(encoded: bytes | Path, place: str) -> NDArray[np.uint8]:
    """Return the pixels [H, W, D] of an encoded image in its own size, after EXIF rotation.

    Raises:
        DataError: The image cannot be decoded, or has more than 8 bits a channel.
    """
    with open_image(encoded, place) as image:
        upright = _upright(image, place)
        shape = _shape(upright)
        with _decoding_errors(place):
            return _pixels(upright.convert(_mode(shape)), shape)


def decode_shrunk(encoded: bytes | Path, shorter: int, channels: int, place: str) -> Image.Image:
    """Return an image after EXIF rotation, its shorter side scaled down to `shorter` pixels.

    Raises:
        DataError: The image cannot be decoded, or has more than 8 bits a channel.
    """
    with open_image(encoded, place) as image:
        upright = _upright(image, place)
        with _decoding_errors(place):
            converted = upright.convert("L" if channels == 1 else "RGB")
            scale = shorter / min(converted.size)
            if scale >= 1:
                return converted
            width, height = (max(shorter, round(scale * side)) for side in converted.size)
            return converted.resize((width, height), Image.Resampling.BILINEAR)


@contextmanager
def open_image(encoded: bytes | Path, place: str) -> Iterator[Image.Image]:
    """Open an encoded image; only its header is read.

    Raises:
        DataError: The file cannot be read, or its format is unknown to Pillow.
    """
    content = _read_image_file(encoded, place) if isinstance(encoded, Path) else encoded
    with _decoding_errors(place):
        image = Image.open(io.BytesIO(content))
    with image:
        yield image


def _read_image_file(path: Path, place: str) -> bytes:
    try:
        return file_content(path, place)
    except OSError as error:
        raise DataError(f"{place}: the image cannot be read ({error.strerror})") from error


def file_content(path: str | os.PathLike[str], place: str) -> bytes:
    """Return the content of a regular file.

    Pipes, sockets and devices are refused: reading them may never end.

    Raises:
        DataError: the file is not a regular file.
        OSError: the file cannot be read.
    """
    with open(path, "rb", opener=_open_nonblocking) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise DataError(f"{place}: is a pipe, socket or device: give a regular file")
        return file.read()


def _open_nonblocking(path: str, flags: int) -> int:
    """Open a file without waiting; a pipe without a writer would block otherwise."""
    return os.open(path, flags | os.O_NONBLOCK)


@contextmanager
def _decoding_errors(place: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(
            f"{place}: the image cannot be decoded (not a format that Pillow reads): repair or "
            f"remove it"
        ) from error
    # On damaged images Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error,
    # DecompressionBombError and more.
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
    with _decoding_errors(place):
        upright = ImageOps.exif_transpose(image)
    upright.info.pop("transparency", None)  # otherwise Pillow warns
    return upright


def _sixteen_bit_mode(image: Image.Image) -> str | None:
    """Return the raw mode of the image's file if its samples have 16 bits, else None."""
    for tile in getattr(image, "tile", ()):  # absent after decoding
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
