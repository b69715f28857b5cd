"""Images in files, folders and Parquet files, batch by batch, however many there are.

B batch, H height, W width, D channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from balpoe.data.decoding.decoding import ImageShape, decode_fitted
from balpoe.data.decoding.encoded_images import printable
from balpoe.data.sources.folder.image_tree import (
    extension_of,
    image_extensions,
    is_hidden,
    names_below,
)
from balpoe.errors import DataError, UserError
from balpoe.inference.encoded_rows import PARQUET, EncodedRows
from balpoe.inference.images import read_image
from balpoe.inference.prediction_file import holds_predictions
from balpoe.training.prediction import PREDICTION_BATCH


@dataclass(frozen=True, eq=False, slots=True)
class LocatedImages:
    """Images uint8 [B, H, W, D], and where each lies: `rows` are None but in Parquet files."""

    paths: tuple[str, ...]
    rows: tuple[int | None, ...]
    images_bhwd: Tensor


@dataclass(frozen=True, slots=True)
class _Item:
    """An image yet to be decoded: the bytes of a row, or a file yet to be read."""

    path: str
    row: int | None = None
    encoded: bytes = b""

    def decoded(self, shape: ImageShape) -> NDArray[np.uint8] | DataError:
        try:
            if self.row is None:
                return read_image(self.path, shape)
            return decode_fitted(
                self.encoded, shape, f"{printable(Path(self.path))}, row {self.row}"
            )
        except DataError as error:
            return error


class ImageSources:
    """What the given paths hold: image files, Parquet files, and folders of both.

    Folders are searched to the bottom, in the order of their names; hidden files and those
    whose suffix is of no image format are left out and counted as `ignored`. `images` is the
    number of the others, rows included. `without` is a file to leave out: the one that is
    to be written, which replaces nothing in a folder but earlier predictions.

    Raises:
        UserError: `without` is one of the files that are to be read, or lies among them and is
            of another kind.
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
                self.images += EncodedRows(file, image_column).count
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
        """The images fitted to `shape`, in batches; decoded by as many threads as torch uses.

        Raises:
            DataError: an image cannot be decoded, unless `on_unreadable` takes the error: then
                the image is left out.
            StorageError: a file cannot be read.
        """
        items = self._items()
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            while batch := list(islice(items, PREDICTION_BATCH)):
                kept, pixels = [], []
                for item, decoded in zip(batch, pool.map(_decoder(shape), batch), strict=True):
                    if isinstance(decoded, DataError):
                        if on_unreadable is None:
                            raise decoded
                        on_unreadable(decoded)
                    else:
                        kept.append(item)
                        pixels.append(decoded)
                if kept:
                    yield LocatedImages(
                        tuple(printable(Path(item.path)) for item in kept),
                        tuple(item.row for item in kept),
                        torch.from_numpy(np.stack(pixels)),
                    )

    def _items(self) -> Iterator[_Item]:
        for file in self._files():
            if file.suffix.lower() == PARQUET:
                for row, encoded in EncodedRows(file, self._image_column):
                    yield _Item(str(file), row, encoded)
            elif self._is_image(file):
                yield _Item(str(file))

    def _files(self) -> Iterator[Path]:
        for path in self._paths:
            if path.is_dir():
                below = (path / name for name in names_below(path))
                yield from (file for file in below if not self._is_left_out(file))
            elif path.exists():
                if path.resolve() == self._without:
                    raise _overwritten(path)
                yield path
            else:
                raise DataError(f"{path}: no such file or folder")

    def _is_left_out(self, file: Path) -> bool:
        """Whether it is the file to be written, where that replaces nothing of the user's."""
        if file.resolve() != self._without:
            return False
        if not holds_predictions(file):
            raise _overwritten(file)
        return True

    def _is_image(self, file: Path) -> bool:
        """A file that was named outright is one whatever it is called."""
        known = extension_of(file.name) in image_extensions() and not is_hidden(file.name)
        return known or file in self._paths


def _overwritten(file: Path) -> UserError:
    return UserError(
        f"{printable(file)}: is among the images and no earlier predictions, and would be "
        "overwritten: name another file with --out"
    )


def _decoder(shape: ImageShape) -> Callable[[_Item], NDArray[np.uint8] | DataError]:
    return lambda item: item.decoded(shape)
