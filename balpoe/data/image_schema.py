"""What a Parquet file of labelled images must look like, and what its reader's errors mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from balpoe.errors import DataError, StorageError


def require_columns(schema: pa.Schema, image_column: str, label_column: str, path: str) -> None:
    """Check that both columns are there and of the types of the convention.

    Raises:
        DataError: A column is missing or of another type.
    """
    for name, setting in ((image_column, "image_column"), (label_column, "label_column")):
        if name not in schema.names:
            raise DataError(
                f"{path}: no column {name!r} among {', '.join(schema.names)}: "
                f"name it in data.{setting}"
            )
    image, label = schema.field(image_column).type, schema.field(label_column).type
    if not _holds_image_bytes(image):
        raise DataError(
            f"{path}: column {image_column!r} is {image}, not struct<bytes: binary, ...>: write "
            f"the images as the Hugging Face library `datasets` does, or set data.image_column"
        )
    if not pa.types.is_integer(label):
        raise DataError(
            f"{path}: column {label_column!r} is {label}, not integer: give class indices from "
            f"0, or set data.label_column"
        )


def class_names(schema: pa.Schema, label_column: str, path: str) -> tuple[str, ...] | None:
    """The names that the Hugging Face metadata give the labels, if they do.

    Raises:
        DataError: The metadata are not what `datasets` writes.
    """
    metadata = (schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    try:
        names = json.loads(metadata)["info"]["features"].get(label_column, {}).get("names")
        return None if names is None else tuple(str(name) for name in names)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: the schema's huggingface metadata are not readable ({error!r}): "
            f"write the file with `datasets`, or drop them"
        ) from error


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


def _holds_image_bytes(type_: pa.DataType) -> bool:
    if not pa.types.is_struct(type_) or type_.get_field_index("bytes") < 0:
        return False
    bytes_type = type_.field("bytes").type
    return bool(pa.types.is_binary(bytes_type) or pa.types.is_large_binary(bytes_type))
