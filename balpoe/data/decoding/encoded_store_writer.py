"""Temporary copies of encoded images with random access by number, for streaming.

A row of a Parquet file cannot be read without its row group: one row of a group of 1,000 images of
25 kB takes 53 ms, from a store 0.004 ms. The images are copied once, which also verifies the
checksums (0.2 ms each). For images in files of their own only the paths are copied.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from balpoe.data.decoding.encoded_images import ImageSource
from balpoe.data.decoding.encoded_store_reader import HEADER, RECORD, EncodedStore
from balpoe.errors import StorageError
from balpoe.method.long_tailed_counts import Indices

_RECORDS_AT_ONCE = 2**16


@dataclass(frozen=True, eq=False, slots=True)
class StoreFiles:
    """The two files of a store; they are closed when the last reference is dropped."""

    index: IO[bytes]
    entries: IO[bytes]

    @property
    def store(self) -> EncodedStore:
        """The reader of the files."""
        return EncodedStore(self.index.fileno(), self.entries.fileno())

    def subset(self, numbers: Indices) -> StoreFiles:
        """Return a store of only these entries, renumbered from 0.

        Raises:
            StorageError: The index cannot be written.
        """
        with _storage_errors():
            index = _unnamed_file()
            for start in range(0, len(numbers), _RECORDS_AT_ONCE):
                for number in numbers[start : start + _RECORDS_AT_ONCE].tolist():
                    offset = number * RECORD.size
                    index.write(os.pread(self.index.fileno(), RECORD.size, offset))
            index.flush()
        return StoreFiles(index, self.entries)


def write_store(source: ImageSource, rows: Indices) -> StoreFiles:
    """Copy the encoded images of these rows, numbered in this order.

    Raises:
        DataError: The source is damaged.
        StorageError: The directory for temporary files cannot be written.
    """
    with _storage_errors():
        files = StoreFiles(_unnamed_file(), _unnamed_file())
    start = 0
    for group in source.encoded_images(rows):
        with _storage_errors():
            for position, row, encoded in zip(
                group.positions.tolist(), group.rows.tolist(), group.encoded, strict=True
            ):
                entry = _entry(source.place(row), encoded)
                files.entries.write(entry)
                record = RECORD.pack(start, len(entry))
                os.pwrite(files.index.fileno(), record, position * RECORD.size)
                start += len(entry)
    with _storage_errors():
        files.entries.flush()
    return files


def _unnamed_file() -> IO[bytes]:
    # in TMPDIR; the system deletes it when the last process that has it open ends
    return tempfile.TemporaryFile()


def _entry(place: str, encoded: bytes | Path) -> bytes:
    is_path = isinstance(encoded, Path)
    name = place.encode(errors="replace")
    content = os.fsencode(encoded) if isinstance(encoded, Path) else encoded
    return HEADER.pack(is_path, len(name)) + name + content


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{tempfile.gettempdir()}: the temporary copy of the encoded images cannot be written "
            f"({error.strerror}): free some space, or set TMPDIR to a directory with enough space"
        ) from error
