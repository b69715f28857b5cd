"""Images of any source, written to Parquet files in the Hugging Face convention.

Up to 64 pixels the images are those that training would see, without loss (PNG). Above, they
keep their proportions and are encoded anew (JPEG): one file serves every `image_size` up to its
own. Training cuts the middle square out of them, and its random crops out of that square.
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
from balpoe.data.decoding.image_threads import over_images
from balpoe.errors import DataError

LOSSLESS_UP_TO = 64
JPEG_QUALITY = 90

_ROWS_PER_GROUP = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation(Bounded):
    """How images are written: as squares of `size`, or above 64 with that shorter side."""

    size: ImageSize
    channels: Channels = 3
    unreadable: Unreadable = "refuse"


@dataclass(frozen=True, slots=True)
class PreparedFile:
    """A file that was written, and why images of its split are missing."""

    path: Path
    images: int
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Prepared:
    encoded: bytes
    label: int


def prepare_split(
    images: LabelledImages,
    class_names: Sequence[str],
    path: Path,
    preparation: Preparation,
    threads: int,
    on_image: Callable[[], None] = lambda: None,
) -> PreparedFile:
    """Write one split, whole or not at all; some thousand encoded images are held in memory.

    Raises:
        DataError: An image cannot be decoded and is not to be skipped, or none can.
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
) -> Iterator[_Prepared]:
    """The images that can be decoded, in their order; of the others the reason."""

    def work(_position: int, row: int, encoded: bytes | Path) -> _Prepared | str:
        place = images.source.place(row)
        try:
            content = _encoded_anew(encoded, preparation, place)
        except DataError as error:
            if preparation.unreadable == "refuse":
                raise
            return str(error)
        return _Prepared(content, int(images.labels_n[row]))

    for prepared in over_images(images.source, np.arange(len(images)), threads, work):
        if isinstance(prepared, str):
            unreadable.append(prepared)
        else:
            yield prepared
        on_image()


def _encoded_anew(encoded: bytes | Path, preparation: Preparation, place: str) -> bytes:
    size, channels = preparation.size, preparation.channels
    buffer = io.BytesIO()
    if size <= LOSSLESS_UP_TO:
        pixels = decode_fitted(encoded, ImageShape(size, size, channels), place)
        Image.fromarray(pixels.squeeze(axis=2) if channels == 1 else pixels).save(buffer, "PNG")
    else:
        shrunk = decode_shrunk(encoded, size, channels, place)
        shrunk.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _groups(prepared: Iterator[_Prepared]) -> Iterator[list[_Prepared]]:
    while group := list(itertools.islice(prepared, _ROWS_PER_GROUP)):
        yield group


def _schema(class_names: Sequence[str]) -> pa.Schema:
    """The columns, and what the library `datasets` reads from the metadata about them."""
    features = {
        "image": {"_type": "Image"},
        "label": {"names": list(class_names), "_type": "ClassLabel"},
    }
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    return pa.schema({"image": image, "label": pa.int64()}, metadata=metadata)


def _table(group: Sequence[_Prepared], schema: pa.Schema) -> pa.Table:
    images = [{"bytes": one.encoded, "path": None} for one in group]
    labels = [one.label for one in group]
    return pa.table({"image": images, "label": labels}, schema=schema)
