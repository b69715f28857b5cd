"""Checks of the schema of Parquet files of images, and conversion of the reader's errors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from balpoe.errors import DataError, StorageError


def require_columns(schema: pa.Schema, image_column: str, label_column: str, path: str) -> None:
    """Check that both columns exist and have the types of the convention.

    Raises:
        DataError: A column is missing or of another type.
    """
    require_image_column(schema, image_column, path, named="in data.image_column")
    _require_column(schema, label_column, path, named="in data.label_column")
    label = schema.field(label_column).type
    if not pa.types.is_integer(label):
        raise DataError(
            f"{path}: column {label_column!r} is {label}, not integer: give class indices from "
            f"0, or set data.label_column"
        )


def require_image_column(schema: pa.Schema, column: str, path: str, *, named: str) -> None:
    """Check that the image column exists and has the type of the convention.

    `named` says in the message where the column is set, such as `in data.image_column`.

    Raises:
        DataError: The column is missing or of another type.
    """
    _require_column(schema, column, path, named=named)
    image = schema.field(column).type
    if not _holds_image_bytes(image):
        raise DataError(
            f"{path}: column {column!r} is {image}, not struct<bytes: binary, ...>: write the "
            f"images as the Hugging Face library `datasets` does, or name another column {named}"
        )


def has_paths(schema: pa.Schema, image_column: str) -> bool:
    """Return whether the image column has the paths of the images as text."""
    image = schema.field(image_column).type
    if image.get_field_index("path") < 0:
        return False
    path = image.field("path").type
    return bool(pa.types.is_string(path) or pa.types.is_large_string(path))


def no_bytes(place: str, column: str) -> DataError:
    """Return the error for an image without bytes in the file."""
    return DataError(
        f"{place}: {column}.bytes is null: embed the image in the file (a path alone is not "
        f"followed)"
    )


def class_names(schema: pa.Schema, label_column: str, path: str) -> tuple[str, ...] | None:
    """Return the class names of the Hugging Face metadata, or None.

    Raises:
        DataError: The metadata are not in the format of `datasets`, or name two classes the same.
    """
    metadata = (schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    try:
        names = json.loads(metadata)["info"]["features"].get(label_column, {}).get("names")
        names = None if names is None else tuple(str(name) for name in names)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: the schema's huggingface metadata are not readable ({error!r}): "
            f"write the file with `datasets`, or remove the metadata"
        ) from error
    _require_distinct_names(names or (), path)
    return names


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Convert the errors of pyarrow while it reads `path` to errors with a hint.

    Raises:
        DataError: The file is missing, damaged or not Parquet.
        StorageError: The operating system refuses to read it.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: no such file: data.train and data.test must name Parquet files"
        ) from error
    except (pa.ArrowException, OSError) as error:
        # Only errors of the operating system have an errno.
        if getattr(error, "errno", None) is not None:
            raise StorageError(f"{path}: cannot be read ({error})") from error
        raise DataError(
            f"{path}: damaged, or not a Parquet file ({error}): download or write it again"
        ) from error


def _require_distinct_names(names: Sequence[str], path: str) -> None:
    """Refuse repeated class names, because predictions identify a class by its name."""
    name, count = max(Counter(names).items(), key=lambda item: item[1], default=("", 0))
    if count > 1:
        raise DataError(
            f"{path}: {count} classes are named {name!r} in the schema's huggingface metadata: "
            f"give each class its own name, or remove the metadata"
        )


def _require_column(schema: pa.Schema, column: str, path: str, *, named: str) -> None:
    if column not in schema.names:
        raise DataError(
            f"{path}: no column {column!r} among {', '.join(schema.names)}: name it {named}"
        )


def _holds_image_bytes(type_: pa.DataType) -> bool:
    if not pa.types.is_struct(type_) or type_.get_field_index("bytes") < 0:
        return False
    bytes_type = type_.field("bytes").type
    return bool(pa.types.is_binary(bytes_type) or pa.types.is_large_binary(bytes_type))
