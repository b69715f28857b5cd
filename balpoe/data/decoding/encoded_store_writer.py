"""Encoded images that are found at once by their number: what batches stream from.

A Parquet file gives no row without the row group around it: one of a group of 1,000 images of 25 kB
took 53 ms, from here 0.004 ms (measured beside other work). So its images are copied once, while
its checksums are verified, one after the other into a file (0.2 ms each). Of images that have files
of their own the paths are copied. What is written has no name: it is in the directory for temporary
files (`TMPDIR`), takes no memory, and is gone when the last process that has it open ends, however
it ends.
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
    """The two files of a store; closed when nothing refers to them any more."""

    index: IO[bytes]
    entries: IO[bytes]

    @property
    def store(self) -> EncodedStore:
        """What reads them."""
        return EncodedStore(self.index.fileno(), self.entries.fileno())

    def chosen(self, numbers: Indices) -> StoreFiles:
        """The entries of these numbers alone, numbered anew.

        Raises:
            StorageError: There is no space for the index.
        """
        with _writing():
            index = _nameless_file()
            for start in range(0, len(numbers), _RECORDS_AT_ONCE):
                for number in numbers[start : start + _RECORDS_AT_ONCE].tolist():
                    at = number * RECORD.size
                    index.write(os.pread(self.index.fileno(), RECORD.size, at))
            index.flush()
        return StoreFiles(index, self.entries)


def write_store(source: ImageSource, rows: Indices) -> StoreFiles:
    """Copy the images of these rows, numbered in this order; none is decoded.

    Raises:
        DataError: The source is damaged.
        StorageError: There is no space in the directory for temporary files.
    """
    with _writing():
        files = StoreFiles(_nameless_file(), _nameless_file())
    start = 0
    for group in source.encoded_images(rows):
        with _writing():
            for position, row, encoded in zip(
                group.positions.tolist(), group.rows.tolist(), group.encoded, strict=True
            ):
                entry = _entry(source.place(row), encoded)
                files.entries.write(entry)
                record = RECORD.pack(start, len(entry))
                os.pwrite(files.index.fileno(), record, position * RECORD.size)
                start += len(entry)
    with _writing():
        files.entries.flush()
    return files


def _nameless_file() -> IO[bytes]:
    return tempfile.TemporaryFile()  # lives as long as the store


def _entry(place: str, encoded: bytes | Path) -> bytes:
    is_path = isinstance(encoded, Path)
    name = place.encode(errors="replace")
    content = os.fsencode(encoded) if isinstance(encoded, Path) else encoded
    return HEADER.pack(is_path, len(name)) + name + content


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{tempfile.gettempdir()}: the encoded images that batches stream from cannot be "
            f"written ({error.strerror}): free some space, or set TMPDIR to a directory that has it"
        ) from error
