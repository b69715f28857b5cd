"""Tables in Parquet files that are written atomically, with a checksum on each page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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


def read_table(
    path: Path, *, formats: tuple[int, ...], columns: Sequence[str] | None = None
) -> pa.Table:
    """Read the table in `path`, or only some of its `columns`, and verify their checksums.

    `formats` are the formats that the caller reads, the newest first.

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
    check_format(path, _format(table.schema), tuple(map(str, formats)))
    return table


def format_of(path: Path) -> int | None:
    """Return the format of the table in `path`, or None if it has no number.

    Raises:
        CorruptFile: the file is missing or damaged.
    """
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise CorruptFile(f"{path}: missing or damaged: {error}") from error
    return format_in(schema)


def format_in(schema: pa.Schema) -> int | None:
    """Return the format in the schema of a table, or None if it has no number."""
    found = _format(schema)
    return int(found) if found.isdecimal() else None


def _format(schema: pa.Schema) -> str:
    found: bytes = (schema.metadata or {}).get(_FORMAT_KEY, b"none")
    return found.decode(errors="replace")


@contextmanager
def row_group_writer(
    path: Path, schema: pa.Schema, *, dictionaries: Sequence[str]
) -> Iterator[pq.ParquetWriter]:
    """Write a table to `path` atomically, one row group at a time.

    The columns `dictionaries` have few different values and are encoded by them.

    Raises:
        StorageError: the file cannot be written; its previous content is kept.
    """
    with (
        atomic_writer(path) as file,
        pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            use_dictionary=list(dictionaries),
            write_page_checksum=True,
        ) as writer,
    ):
        yield writer


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
