"""The encoded images in the rows of a Parquet file, labelled or not, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from balpoe.data.sources.parquet.image_schema import no_bytes, reading, require_image_column

PARQUET = ".parquet"
_ROWS_AT_ONCE = 64
_BUFFER = 2**20  # bytes of a column that are read at a time: row groups may be huge


class EncodedRows:
    """Rows of the Hugging Face convention: a column `image: struct<bytes: binary, ...>`.

    Iterating gives the number of each row, from 0, and its bytes; never more than a few rows
    are in memory. Checksums are verified where the file has them.

    Raises:
        DataError: the file is damaged, not Parquet, or lacks the column.
        StorageError: it cannot be read.
    """

    def __init__(self, path: Path, image_column: str) -> None:
        self._path = str(path)
        self._column = image_column
        with reading(self._path):
            self._file = pq.ParquetFile(
                path, page_checksum_verification=True, pre_buffer=False, buffer_size=_BUFFER
            )
        schema = self._file.schema_arrow
        require_image_column(schema, image_column, self._path, named="with --image-column")
        self.count: int = self._file.metadata.num_rows

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        row = 0
        batches = self._file.iter_batches(
            _ROWS_AT_ONCE, columns=[f"{self._column}.bytes"], use_threads=False
        )
        while True:
            with reading(self._path):
                batch = next(batches, None)
            if batch is None:
                return
            for encoded in batch.column(0).field("bytes").to_pylist():
                if encoded is None:
                    raise no_bytes(f"{self._path}, row {row}", self._column)
                yield row, encoded
                row += 1
