"""A configuration as plain data: what fingerprints, files and model directories are made of."""

from __future__ import annotations

import dataclasses
from typing import Any

from balpoe.config.bounds import Bounded


def to_plain(section: Bounded) -> dict[str, Any]:
    """All fields of a section as dicts, lists, numbers, text, booleans and None, in order."""
    plain = _plain(section)
    assert isinstance(plain, dict)
    return plain


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(element) for key, element in value.items()}
    return [_plain(element) for element in value] if isinstance(value, tuple) else value
