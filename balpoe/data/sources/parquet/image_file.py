"""Labelled images in a Parquet file of the Hugging Face convention.

A file has a column `image: struct<bytes: binary, path: string>` and an integer column `label`;
class names, where there are any, stand in the schema's `huggingface` metadata.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from balpoe.data.decoding.encoded_images import EncodedImages
from balpoe.data.sources.parquet.image_schema import class_names, no_bytes, reading, require_columns
from balpoe.errors import DataError
from balpoe.method.long_tailed_counts import Indices

# pyarrow's own conversions from and to numpy (pa.array, Array.to_numpy) import pandas, which
# costs a second and 40 MiB in every trial; buffers and DLPack do without.


class LabelledImageFile:
    """One Parquet file of images and labels; checksums are verified where the file has them.

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
            raise DataError(f"{path}: holds no images: give a file with at least one")

    def place(self, row: int) -> str:
        """How messages call a row, counted from 0."""
        return f"{self.path}, row {row}"

    def labels(self) -> Indices:
        """All labels as int64 [N]; the images are not read.

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
        wrong = np.flatnonzero((labels_n < 0) | (labels_n > np.iinfo(np.int64).max))
        if len(wrong):
            row = int(wrong[0])
            raise DataError(
                f"{self.place(row)}: label {labels_n[row]} is out of range: labels are class "
                f"indices from 0"
            )
        return np.asarray(labels_n, dtype=np.int64)

    def class_names(self) -> tuple[str, ...] | None:
        """The names that the Hugging Face metadata give the labels, if they do.

        Raises:
            DataError: The metadata are not what `datasets` writes.
        """
        return class_names(self._file.schema_arrow, self._label_column, self.path)

    def encoded_images(self, rows: Indices) -> Iterator[EncodedImages]:
        """The encoded images of these rows, a row group at a time; other groups are not read.

        Raises:
            DataError: A row has no image bytes, or the file is damaged.
        """
        positions = np.argsort(rows, kind="stable")
        ends = np.cumsum(
            [self._file.metadata.row_group(g).num_rows for g in range(self._file.num_row_groups)]
        )
        boundaries = np.searchsorted(rows[positions], ends)
        for group, here in enumerate(np.split(positions, boundaries)[:-1]):
            if len(here):
                start = ends[group] - self._file.metadata.row_group(group).num_rows
                yield self._encoded_in_group(group, start, here, rows[here])
        # Arrow would keep the freed pages of its last row group for the life of the process.
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
