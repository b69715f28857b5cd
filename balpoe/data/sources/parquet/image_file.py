"""Labelled images in a Parquet file of the Hugging Face convention.

A file has a column `image: struct<bytes: binary, path: string>` and an integer column `label`.
Class names are optional, in the schema's `huggingface` metadata.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from balpoe.data.decoding.encoded_images import EncodedImages
from balpoe.data.sources.parquet.image_schema import (
    class_names,
    has_paths,
    no_bytes,
    reading,
    require_columns,
)
from balpoe.errors import DataError
from balpoe.method.long_tailed_counts import Indices

# pa.array and Array.to_numpy import pandas, which takes a second and 40 MiB in every trial;
# buffers and DLPack do not.


class LabelledImageFile:
    """A Parquet file of images and labels; page checksums are verified if present.

    Raises:
        DataError: The file is missing, damaged, not Parquet, or lacks a column.
        StorageError: The file cannot be read.
    """

    def __init__(self, path: str, image_column: str, label_column: str) -> None:
        self.path = path
        self._image_column = image_column
        self._label_column = label_column
        with reading(path):
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
        require_columns(self._file.schema_arrow, image_column, label_column, path)
        if self._file.metadata.num_rows == 0:
            raise DataError(f"{path}: contains no images: give a file with at least one")

    def place(self, row: int) -> str:
        """Return the name of a row in messages, counted from 0."""
        return f"{self.path}, row {row}"

    def labels(self) -> Indices:
        """Return all labels, int64 [N], without reading the images.

        Raises:
            DataError: A label is null or negative, or the file is damaged.
        """
        with reading(self.path):
            table = self._file.read(columns=[self._label_column], use_threads=False)
            column = table.column(self._label_column).combine_chunks()
        if column.null_count:
            row = pc.index(pc.is_null(column), True).as_py()
            raise DataError(f"{self.place(row)}: {self._label_column} is null: label every image")
        labels_n = np.from_dlpack(column)
        invalid = np.flatnonzero((labels_n < 0) | (labels_n > np.iinfo(np.int64).max))
        if len(invalid):
            row = int(invalid[0])
            raise DataError(
                f"{self.place(row)}: label {labels_n[row]} is out of range: it must be a class "
                f"index from 0"
            )
        return np.asarray(labels_n, dtype=np.int64)

    def class_names(self) -> tuple[str, ...] | None:
        """Return the class names of the Hugging Face metadata, or None.

        Raises:
            DataError: The metadata are not in the format of `datasets`.
        """
        return class_names(self._file.schema_arrow, self._label_column, self.path)

    def paths(self, rows: Indices) -> Iterator[str | None]:
        """Yield the `path` of each image, None where it is null or the file has no such field.

        Raises:
            DataError: The file is damaged.
        """
        if not has_paths(self._file.schema_arrow, self._image_column):
            yield from (None for _ in rows)
            return
        with reading(self.path):
            table = self._file.read(columns=[f"{self._image_column}.path"], use_threads=False)
        paths = pc.struct_field(table.column(self._image_column), "path")
        for path in paths.take(_arrow_indices(rows)):
            yield path.as_py()

    def encoded_images(self, rows: Indices) -> Iterator[EncodedImages]:
        """Yield the encoded images of these rows by row group; other groups are not read.

        Raises:
            DataError: A row has no image bytes, or the file is damaged.
        """
        positions = np.argsort(rows, kind="stable")
        ends = np.cumsum(
            [self._file.metadata.row_group(g).num_rows for g in range(self._file.num_row_groups)]
        )
        boundaries = np.searchsorted(rows[positions], ends)
        for group, group_positions in enumerate(np.split(positions, boundaries)[:-1]):
            if len(group_positions):
                start = ends[group] - self._file.metadata.row_group(group).num_rows
                yield self._encoded_in_group(group, start, group_positions, rows[group_positions])
        # Arrow keeps the freed pages of the last row group otherwise.
        pa.default_memory_pool().release_unused()

    def _encoded_in_group(
        self, group: int, start: int, positions: Indices, rows: Indices
    ) -> EncodedImages:
        with reading(self.path):
            table = self._file.read_row_group(
                group, columns=[f"{self._image_column}.bytes"], use_threads=False
            )
            column = pc.struct_field(table.column(self._image_column), "bytes")
            encoded = column.take(_arrow_indices(rows - start)).to_pylist()
        if None in encoded:
            raise no_bytes(self.place(rows[encoded.index(None)]), self._image_column)
        return EncodedImages(positions, rows, encoded)


def _arrow_indices(indices: Indices) -> pa.Array:
    buffer = pa.py_buffer(np.ascontiguousarray(indices))
    return pa.Array.from_buffers(pa.int64(), len(indices), [None, buffer])
