"""Conversion of any source to Parquet files in the Hugging Face convention.

Up to 64 pixels, images are scaled and cropped as in training and stored without loss (PNG). Larger
images keep their aspect ratio and are encoded as JPEG, so that one file serves any smaller
`image_size`; training crops them to the central square. The path of each image, as its source
names it, is kept.
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from balpoe.atomic_write import atomic_writer
from balpoe.config.bounds import Bounded
from balpoe.config.data import Channels, ImageSize, Unreadable
from balpoe.data.decoding.encoded_images import LabelledImages
from balpoe.data.decoding.image_decoding import ImageShape, decode_fitted, decode_shrunk
from balpoe.data.decoding.image_threads import map_images
from balpoe.errors import DataError

LOSSLESS_UP_TO = 64
JPEG_QUALITY = 90

_ROWS_PER_GROUP = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation(Bounded):
    """The format of written images: squares of `size`, or above 64 with that shorter side."""

    size: ImageSize
    channels: Channels = 3
    unreadable: Unreadable = "refuse"


@dataclass(frozen=True, slots=True)
class PreparedFile:
    """A written file, its number of images, and the messages of images that were left out."""

    path: Path
    images: int
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _PreparedImage:
    encoded: bytes
    path: str | None
    label: int


def prepare_split(
    images: LabelledImages,
    class_names: Sequence[str],
    path: Path,
    preparation: Preparation,
    threads: int,
    on_image: Callable[[], None] = lambda: None,
) -> PreparedFile:
    """Write one split atomically; a few thousand encoded images are held in memory.

    Raises:
        DataError: An image cannot be decoded and is not skipped, or no image can be decoded.
        StorageError: The file cannot be written.
    """
    unreadable: list[str] = []
    written = 0
    schema = _schema(class_names)
    with (
        atomic_writer(path) as file,
        pq.ParquetWriter(
            file, schema, compression="none", use_dictionary=False, write_page_checksum=True
        ) as writer,
    ):
        for group in _groups(_readable(images, preparation, threads, unreadable, on_image)):
            writer.write_table(_table(group, schema), row_group_size=_ROWS_PER_GROUP)
            written += len(group)
        if not written:
            raise DataError(f"{path}: no image could be decoded; the first: {unreadable[0]}")
    return PreparedFile(path, written, tuple(unreadable))


def _readable(
    images: LabelledImages,
    preparation: Preparation,
    threads: int,
    unreadable: list[str],
    on_image: Callable[[], None],
) -> Iterator[_PreparedImage]:
    """Yield the encoded images in order; append messages of the others to `unreadable`."""

    def encode(_position: int, row: int, encoded: bytes | Path) -> bytes | str:
        place = images.source.place(row)
        try:
            return _reencoded(encoded, preparation, place)
        except DataError as error:
            if preparation.unreadable == "refuse":
                raise
            return str(error)

    rows = np.arange(len(images))
    encoded_images = map_images(images.source, rows, threads, encode)
    for content, path, label in zip(
        encoded_images, images.source.paths(rows), images.labels_n.tolist(), strict=True
    ):
        if isinstance(content, str):
            unreadable.append(content)
        else:
            yield _PreparedImage(content, path, label)
        on_image()


def _reencoded(encoded: bytes | Path, preparation: Preparation, place: str) -> bytes:
    size, channels = preparation.size, preparation.channels
    buffer = io.BytesIO()
    if size <= LOSSLESS_UP_TO:
        pixels = decode_fitted(encoded, ImageShape(size, size, channels), place)
        Image.fromarray(pixels.squeeze(axis=2) if channels == 1 else pixels).save(buffer, "PNG")
    else:
        shrunk = decode_shrunk(encoded, size, channels, place)
        shrunk.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _groups(prepared: Iterator[_PreparedImage]) -> Iterator[list[_PreparedImage]]:
    while group := list(itertools.islice(prepared, _ROWS_PER_GROUP)):
        yield group


def _schema(class_names: Sequence[str]) -> pa.Schema:
    """Return the columns, with the metadata that the library `datasets` reads."""
    features = {
        "image": {"_type": "Image"},
        "label": {"names": list(class_names), "_type": "ClassLabel"},
    }
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    return pa.schema({"image": image, "label": pa.int64()}, metadata=metadata)


def _table(group: Sequence[_PreparedImage], schema: pa.Schema) -> pa.Table:
    images = [{"bytes": image.encoded, "path": image.path} for image in group]
    labels = [image.label for image in group]
    return pa.table({"image": images, "label": labels}, schema=schema)
