"""Arrays, tensors, Pillow images and image files as batches of pixels for a network.

N images, B batch, H height, W width, D channels: 1 (grey) or 3 (red, green, blue).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence, Set, Sized
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from balpoe.config.wording import shown
from balpoe.data.decoding.encoded_images import printable
from balpoe.data.decoding.image_decoding import ImageShape, decode_fitted, file_content, fit_image
from balpoe.errors import DataError, StorageError
from balpoe.training.prediction import PREDICTION_BATCH

OneImage = NDArray[Any] | Tensor | Image.Image | str | os.PathLike[str]
Images = OneImage | Sequence[OneImage]
"""A uint8 array or tensor [N, H, W, D] or [H, W, D], a Pillow image, a path, or a list of single
images."""

_Pixels = NDArray[np.uint8]


def image_batches(images: Images, shape: ImageShape) -> Iterator[Tensor]:
    """The images in their order, fitted to `shape`: uint8 [B, H, W, D] on the CPU.

    Images of another size or colour are converted as in training (`fit_image`), without
    stretching. Files are read batch by batch.

    Raises:
        DataError: there are no images, or one has an invalid type or shape, or cannot be decoded.
        StorageError: a file cannot be read.
    """
    several = _as_sequence(images)
    if len(several) == 0:
        raise DataError("there are no images: give at least one")
    fitted = (_fitted(image, shape, f"image {i}") for i, image in enumerate(several))
    while batch := list(islice(fitted, PREDICTION_BATCH)):
        yield torch.from_numpy(np.stack(batch))


def read_image(path: str | os.PathLike[str], shape: ImageShape) -> _Pixels:
    """Read the pixels [H, W, D] of an image file, fitted to `shape`.

    Raises:
        DataError: there is no such file, or it cannot be decoded.
        StorageError: it cannot be read.
    """
    place = printable(Path(path))
    try:
        encoded = file_content(path, place)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{place}: no such file") from error
    except IsADirectoryError as error:
        raise DataError(
            f"{place}: is a folder: give the paths of its images, or use `balpoe predict`"
        ) from error
    except OSError as error:
        raise StorageError(f"{place}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # the path has a null byte, or a character that cannot be encoded
        raise DataError(f"{shown(place)}: is not a path of a file ({error})") from error
    return decode_fitted(encoded, shape, place)


def _as_sequence(images: Images) -> Sequence[OneImage]:
    if isinstance(images, str | os.PathLike | Image.Image):
        return [images]
    if isinstance(images, np.ndarray | Tensor):
        if images.ndim == 3:
            return [images]
        if images.ndim != 4:
            raise DataError(
                f"images: must be [N, H, W, D] (many) or [H, W, D] (one), got an array of shape "
                f"{tuple(images.shape)}; a single grey image needs its channel: image[..., None]"
            )
    elif not _are_several(images):
        raise DataError(
            "images: must be an array, a tensor, a Pillow image, a path or a list of these, got "
            f"{type(images).__name__}"
        )
    return images  # type: ignore[return-value]  # an array is a sequence of its images


def _are_several(images: Any) -> bool:
    """Whether it has a length and an order as a list does; bytes hold numbers, not images."""
    return isinstance(images, Sized) and not isinstance(images, bytes | Mapping | Set)


def _fitted(image: OneImage, shape: ImageShape, place: str) -> _Pixels:
    if isinstance(image, str | os.PathLike):
        return read_image(image, shape)
    if isinstance(image, Image.Image):
        return fit_image(image, shape, place)
    if isinstance(image, Tensor):
        image = image.detach().cpu().numpy()
    if isinstance(image, np.ndarray):
        return _fitted_pixels(_checked_pixels(image, place), shape, place)
    raise DataError(
        f"{place}: must be an array, a tensor, a Pillow image or a path, got {type(image).__name__}"
    )


def _fitted_pixels(pixels_hwd: _Pixels, shape: ImageShape, place: str) -> _Pixels:
    if pixels_hwd.shape == (shape.height, shape.width, shape.channels):
        return pixels_hwd
    grey = pixels_hwd.shape[2] == 1
    return fit_image(Image.fromarray(pixels_hwd[..., 0] if grey else pixels_hwd), shape, place)


def _checked_pixels(image: NDArray[Any], place: str) -> _Pixels:
    if image.dtype != np.uint8:
        raise DataError(
            f"{place}: pixels must be uint8 from 0 to 255, got {image.dtype}: convert pixels from "
            "0 to 1 with (255 * images).round().astype('uint8'); do not normalise, the model does"
        )
    channels_first = image.ndim == 3 and image.shape[0] in (1, 3) and image.shape[2] not in (1, 3)
    if channels_first:
        raise DataError(
            f"{place}: channels must come last, [H, W, D], got the shape {image.shape}: move them "
            "with np.moveaxis(image, 0, -1) or tensor.permute(1, 2, 0)"
        )
    if image.ndim != 3 or image.shape[2] not in (1, 3) or 0 in image.shape:
        raise DataError(
            f"{place}: must be [H, W, D] with 1 (grey) or 3 (red, green, blue) channels, got the "
            f"shape {image.shape}"
        )
    return image
