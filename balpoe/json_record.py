"""Records in JSON files, read as frozen dataclasses with their types checked."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from balpoe.errors import CorruptFile

Record = TypeVar("Record")


def read_record(
    path: Path,
    kind: type[Record],
    hint: str,
    *,
    formats: tuple[int, ...] = (),
    other_fields: bool = False,
) -> Record:
    """Read the file `path` as a record of the dataclass `kind`.

    Args:
        path: The file.
        kind: The dataclass; a field without a default must be in the file.
        hint: What to do about a damaged file.
        formats: The formats that are read, where the file has a field `format`.
        other_fields: Whether the file may have fields that `kind` lacks.

    Raises:
        CorruptFile: the file is missing, damaged or of another format, or a field is missing,
            unknown or of the wrong type.
    """
    content = read_object(path, hint)
    if formats:
        if "format" not in content:
            raise CorruptFile(f"{path}: damaged: format is missing; {hint}")
        check_format(path, content.pop("format"), formats)
    return as_record(path, content, kind, hint, other_fields=other_fields)


def read_object(path: Path, hint: str) -> dict[str, Any]:
    """Read the file `path` as a JSON object.

    Raises:
        CorruptFile: the file is missing or damaged.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise CorruptFile(f"{path}: cannot be read: {error.strerror}; {hint}") from error
    except ValueError as error:
        raise CorruptFile(f"{path}: damaged: {error}; {hint}") from error
    if not isinstance(content, dict):
        raise CorruptFile(f"{path}: damaged: must be an object; {hint}")
    return content


def check_format(path: Path, found: object, known: tuple[int | str, ...]) -> None:
    """Refuse a file whose format is not among those `known`, the newest first.

    Raises:
        CorruptFile: the file has another format.
    """
    if found not in known:
        raise CorruptFile(
            f"{path}: has format {found}, but this version of balpoe reads {known[0]}; "
            f"use the version that wrote it"
        )


def as_record(
    path: Path, content: object, kind: type[Record], hint: str, *, other_fields: bool = False
) -> Record:
    """Return `content`, which was read from `path`, as a record of the dataclass `kind`.

    Raises:
        CorruptFile: a field is missing, unknown or of the wrong type.
    """
    try:
        return parsed(content, kind, other_fields=other_fields)
    except ValueError as error:
        raise CorruptFile(f"{path}: damaged: {error}; {hint}") from error


def parsed(content: object, kind: type[Record], *, other_fields: bool = False) -> Record:
    """Return the JSON value `content` as a record of the dataclass `kind`.

    Raises:
        ValueError: a field is missing, unknown or of the wrong type.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"must be an object, got {content!r}")
    hints = _hints(kind)  # type: ignore[arg-type]  # typeshed: classes are hashable
    missing = [name for name in _required(kind) if name not in content]
    unknown = [name for name in content if name not in hints]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    if unknown and not other_fields:
        raise ValueError(f"{unknown[0]} is no known field")
    values = {name: _value(content[name], hints[name], name) for name in hints if name in content}
    return kind(**values)


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _required(kind: Any) -> list[str]:
    return [
        field.name
        for field in fields(kind)
        if field.default is MISSING and field.default_factory is MISSING
    ]


def _value(value: Any, hint: Any, place: str) -> Any:
    """Return `value` as the type `hint`; an integer stands for a float."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _alternative(value, hint, place)
    if is_dataclass(hint) and isinstance(value, dict):
        return parsed(value, hint)  # type: ignore[arg-type]  # a class, as hints are
    if origin is tuple and isinstance(value, list):
        if arguments[-1] is not Ellipsis and len(arguments) != len(value):
            raise ValueError(f"{place} must have {len(arguments)} items, got {len(value)}")
        return tuple(_items(value, arguments[0], place))
    if origin is Sequence and isinstance(value, list):
        return _items(value, arguments[0], place)
    if origin is Mapping and isinstance(value, dict):
        return {key: _value(item, arguments[1], f"{place}.{key}") for key, item in value.items()}
    if origin is Literal and value in arguments:
        return value
    if hint is Any or type(value) is hint or (hint is float and type(value) is int):
        return value
    raise ValueError(f"{place} must be {_name(hint)}, got {value!r}")


def _alternative(value: Any, hint: Any, place: str) -> Any:
    if value is None and NoneType in get_args(hint):
        return None
    alternatives = [alternative for alternative in get_args(hint) if alternative is not NoneType]
    if len(alternatives) == 1:
        return _value(value, alternatives[0], place)
    for alternative in alternatives:
        with suppress(ValueError):
            return _value(value, alternative, place)
    raise ValueError(f"{place} must be {_name(hint)}, got {value!r}")


def _name(hint: Any) -> str:
    return str(hint) if get_origin(hint) else hint.__name__


def _items(values: list[Any], hint: Any, place: str) -> list[Any]:
    return [_value(value, hint, f"{place}[{index}]") for index, value in enumerate(values)]
