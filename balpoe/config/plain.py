"""A configuration as plain data: what fingerprints, files and model directories are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from balpoe.config.bounds import Bounded

ADDED: Final[Mapping[str, bool]] = {"added": True}
"""The metadata of a field that was added after its section, with a default that says what was."""


def to_plain(section: Bounded) -> dict[str, Any]:
    """All fields of a section as dicts, lists, numbers, text, booleans and None, in order."""
    plain = _plain(section)
    assert isinstance(plain, dict)
    return plain


def identifying(section: Bounded) -> dict[str, Any]:
    """As `to_plain`, without the added fields that hold their default.

    What was identified before a field was added keeps its identity.
    """
    plain = {}
    for item in dataclasses.fields(section):  # type: ignore[arg-type]  # all are dataclasses
        value = getattr(section, item.name)
        if not (ADDED.items() <= item.metadata.items() and value == _default(item)):
            plain[item.name] = identifying(value) if isinstance(value, Bounded) else _plain(value)
    return plain


def _default(item: dataclasses.Field[Any]) -> Any:
    if item.default_factory is dataclasses.MISSING:
        return item.default
    return item.default_factory()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(element) for key, element in value.items()}
    return [_plain(element) for element in value] if isinstance(value, tuple) else value
