"""The images of files, folders and Parquet files, in batches that bound memory.

B batch, H height, W width, D channels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from balpoe.data.decoding.encoded_images import printable
from balpoe.data.decoding.image_decoding import ImageShape, decode_fitted
from balpoe.data.sources.folder.image_tree import (
    extension_of,
    image_extensions,
    is_hidden,
    names_below,
)
from balpoe.data.sources.parquet.image_schema import no_bytes, reading, require_image_column
from balpoe.errors import DataError, UserError
from balpoe.inference.pixel_batches import read_image
from balpoe.inference.prediction_file import holds_predictions
from balpoe.training.prediction import PREDICTION_BATCH

PARQUET = ".parquet"
_ROWS_AT_ONCE = 64
_BUFFER = 2**20  # bytes of a column that are read at a time, since row groups may be huge


@dataclass(frozen=True, eq=False, slots=True)
class LocatedImages:
    """Images uint8 [B, H, W, D] with their files; `rows` are None unless the file is Parquet."""

    paths: tuple[str, ...]
    rows: tuple[int | None, ...]
    images_bhwd: Tensor


@dataclass(frozen=True, slots=True)
class _EncodedImage:
    """An image to decode: a file, or the bytes of a row of a Parquet file."""

    path: str
    row: int | None = None
    encoded: bytes = b""


class InputImages:
    """The images of the given image files, Parquet files and folders.

    Folders are searched recursively in the order of names; hidden files and files without the
    suffix of an image format are skipped.

    Args:
        paths: Image files, Parquet files and folders of both.
        image_column: The column of the Parquet files.
        without: The file to be written; it is skipped in a folder if it holds predictions.

    Attributes:
        images: The number of images, rows of Parquet files included.
        ignored: The number of files that were skipped.

    Raises:
        UserError: `without` is one of `paths`, or lies in one of the folders and does not hold
            predictions.
        DataError: a path does not exist, a Parquet file lacks the column, or there is no image.
        StorageError: a file cannot be read.
    """

    def __init__(
        self, paths: Sequence[Path], *, image_column: str, without: Path | None = None
    ) -> None:
        self._paths = tuple(paths)
        self._image_column = image_column
        self._without = without.resolve() if without else None
        self.images = self.ignored = 0
        for file in self._files():
            if file.suffix.lower() == PARQUET:
                self.images += self._open(file).metadata.num_rows
            elif self._is_image(file):
                self.images += 1
            else:
                self.ignored += 1
        if self.images == 0:
            places = ", ".join(map(str, self._paths)) or "nowhere"
            raise DataError(
                f"{places}: no images found ({self.ignored} other files): give image files, "
                "Parquet files or folders that hold some"
            )

    def batches(
        self, shape: ImageShape, *, on_unreadable: Callable[[DataError], None] | None = None
    ) -> Iterator[LocatedImages]:
        """The images fitted to `shape`, in batches, decoded in `torch.get_num_threads()` threads.

        Args:
            shape: The shape of all images.
            on_unreadable: Called with the error of each image that cannot be decoded and is
                skipped; None raises the error.

        Raises:
            DataError: an image cannot be decoded, and `on_unreadable` is None.
            StorageError: a file cannot be read.
        """
        images = self._encoded_images()
        decode = functools.partial(_decoded, shape)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            while batch := list(islice(images, PREDICTION_BATCH)):
                kept, pixels = [], []
                for image, decoded in zip(batch, pool.map(decode, batch), strict=True):
                    if not isinstance(decoded, DataError):
                        kept.append(image)
                        pixels.append(decoded)
                    elif on_unreadable is None:
                        raise decoded
                    else:
                        on_unreadable(decoded)
                if kept:
                    yield LocatedImages(
                        tuple(printable(Path(image.path)) for image in kept),
                        tuple(image.row for image in kept),
                        torch.from_numpy(np.stack(pixels)),
                    )

    def _encoded_images(self) -> Iterator[_EncodedImage]:
        for file in self._files():
            if file.suffix.lower() == PARQUET:
                for row, encoded in enumerate(self._encoded_rows(file)):
                    yield _EncodedImage(str(file), row, encoded)
            elif self._is_image(file):
                yield _EncodedImage(str(file))

    def _open(self, file: Path) -> pq.ParquetFile:
        with reading(str(file)):
            opened = pq.ParquetFile(
                file, page_checksum_verification=True, pre_buffer=False, buffer_size=_BUFFER
            )
        require_image_column(
            opened.schema_arrow, self._image_column, str(file), named="with --image-column"
        )
        return opened

    def _encoded_rows(self, file: Path) -> Iterator[bytes]:
        """The images of a column `struct<bytes: binary, ...>`, the Hugging Face convention."""
        batches = self._open(file).iter_batches(
            _ROWS_AT_ONCE, columns=[f"{self._image_column}.bytes"], use_threads=False
        )
        row = 0
        while True:
            with reading(str(file)):
                batch = next(batches, None)
            if batch is None:
                return
            for encoded in batch.column(0).field("bytes").to_pylist():
                if encoded is None:
                    raise no_bytes(f"{file}, row {row}", self._image_column)
                yield encoded
                row += 1

    def _files(self) -> Iterator[Path]:
        for path in self._paths:
            if path.is_dir():
                below = (path / name for name in names_below(path))
                yield from (file for file in below if not self._is_earlier_output(file))
            elif path.exists():
                if path.resolve() == self._without:
                    raise _overwritten(path)
                yield path
            else:
                raise DataError(f"{path}: no such file or folder")

    def _is_earlier_output(self, file: Path) -> bool:
        if file.resolve() != self._without:
            return False
        if not holds_predictions(file):
            raise _overwritten(file)
        return True

    def _is_image(self, file: Path) -> bool:
        """Whether a file is an image by its name, or was given by its own path."""
        has_image_name = extension_of(file.name) in image_extensions() and not is_hidden(file.name)
        return has_image_name or file in self._paths


def _overwritten(file: Path) -> UserError:
    return UserError(
        f"{printable(file)}: is among the images and no earlier predictions, and would be "
        "overwritten: name another file with --out"
    )


def _decoded(shape: ImageShape, image: _EncodedImage) -> NDArray[np.uint8] | DataError:
    try:
        if image.row is None:
            return read_image(image.path, shape)
        place = f"{printable(Path(image.path))}, row {image.row}"
        return decode_fitted(image.encoded, shape, place)
    except DataError as error:
        return error
