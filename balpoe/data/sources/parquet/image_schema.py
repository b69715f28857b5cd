"""What a Parquet file of labelled images must look like, and what its reader's errors mean."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from balpoe.errors import DataError, StorageError


def require_columns(schema: pa.Schema, image_column: str, label_column: str, path: str) -> None:
    """Check that both columns are there and of the types of the convention.

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
    """Check that the column of the images is there and of the type of the convention.

    `named` says where its name stands, for the message: `in data.image_column`.

    Raises:
        DataError: It is missing or of another type.
    """
    _require_column(schema, column, path, named=named)
    image = schema.field(column).type
    if not _holds_image_bytes(image):
        raise DataError(
            f"{path}: column {column!r} is {image}, not struct<bytes: binary, ...>: write the "
            f"images as the Hugging Face library `datasets` does, or name another column {named}"
        )


def no_bytes(place: str, column: str) -> DataError:
    """The error of an image that is not in its file."""
    return DataError(
        f"{place}: {column}.bytes is null: embed the image in the file (a path alone is not "
        f"followed)"
    )


def class_names(schema: pa.Schema, label_column: str, path: str) -> tuple[str, ...] | None:
    """The names that the Hugging Face metadata give the labels, if they do.

    Raises:
        DataError: The metadata are not what `datasets` writes, or name two classes alike.
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
            f"write the file with `datasets`, or drop them"
        ) from error
    _refuse_alike(names or (), path)
    return names


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn what pyarrow raises while it reads `path` into errors that name the cure.

    Raises:
        DataError: The file is missing, damaged or not Parquet.
        StorageError: The operating system refuses to read it.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: no such file: data.train and data.test name Parquet files"
        ) from error
    except (pa.ArrowException, OSError) as error:
        # An error of the operating system has a number; one of damaged content has none.
        if getattr(error, "errno", None) is not None:
            raise StorageError(f"{path}: cannot be read ({error})") from error
        raise DataError(
            f"{path}: damaged, or not a Parquet file ({error}): fetch or write it again"
        ) from error


def _refuse_alike(names: Sequence[str], path: str) -> None:
    """Predictions name classes: two of one name could not be told apart."""
    name, count = max(Counter(names).items(), key=lambda item: item[1], default=("", 0))
    if count > 1:
        raise DataError(
            f"{path}: {count} classes are named {name!r} in the schema's huggingface metadata: "
            f"give each its own name, or drop the metadata"
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
