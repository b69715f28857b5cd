"""Tables in Parquet files that are written atomically, with a checksum on each page."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from balpoe.atomic_write import atomic_writer
from balpoe.errors import CorruptFile
from balpoe.json_record import check_format

_FORMAT_KEY = b"balpoe_format"


def write_table(path: Path, table: pa.Table, *, format_number: int) -> None:
    """Write `table` to `path` atomically.

    Raises:
        StorageError: the file cannot be written; its previous content is kept.
    """
    metadata = {_FORMAT_KEY: str(format_number).encode()}
    with atomic_writer(path) as file:
        pq.write_table(
            table.replace_schema_metadata(metadata),
            file,
            compression="zstd",
            use_dictionary=False,
            write_page_checksum=True,
        )


def read_table(path: Path, *, format_number: int, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the table in `path`, or some of its `columns`, and verify the checksums.

    Raises:
        CorruptFile: the file is missing, damaged or of another format.
    """
    try:
        table = pq.read_table(
            path,
            columns=None if columns is None else list(columns),
            page_checksum_verification=True,
            memory_map=False,
        )
    except (OSError, pa.ArrowException) as error:
        raise CorruptFile(f"{path}: missing or damaged: {error}") from error
    found = (table.schema.metadata or {}).get(_FORMAT_KEY, b"none").decode(errors="replace")
    check_format(path, found, (str(format_number),))
    return table


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal.

    Raises:
        CorruptFile: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CorruptFile(f"{path}: cannot be read: {error.strerror}") from error
