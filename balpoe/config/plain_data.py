"""Conversion of a configuration to plain data, for files, model directories and fingerprints."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final

from balpoe.config.bounds import Bounded

ADDED: Final[Mapping[str, bool]] = {"added": True}
"""Metadata of a field that was added to an existing section; its default is the old behaviour."""

ADDED_SECTION: Final[Mapping[str, bool]] = {**ADDED, "omitted": True}
"""Metadata of a section that was added later; files omit it while it has its default."""


def to_plain(section: Bounded) -> dict[str, Any]:
    """Convert a section to dicts, lists, numbers, text, booleans and None, in field order.

    Sections that were added later are omitted while they have their default, so that files stay
    as earlier versions wrote them.
    """
    plain = _plain(section)
    assert isinstance(plain, dict)
    return plain


def leaves(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the single values of plain data, each with its dotted path."""
    for name, value in plain.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def identifying(section: Bounded) -> dict[str, Any]:
    """Convert like `to_plain`, but omit added fields that have their default.

    The identity of a configuration therefore does not change when a field is added.
    """
    plain = {}
    for item in dataclasses.fields(section):  # type: ignore[arg-type]  # all are dataclasses
        value = getattr(section, item.name)
        if not _is_omitted(item, value, ADDED):
            plain[item.name] = identifying(value) if isinstance(value, Bounded) else _plain(value)
    return plain


def _is_omitted(item: dataclasses.Field[Any], value: Any, metadata: Mapping[str, bool]) -> bool:
    """Whether a field has this `metadata` and its default value."""
    return metadata.items() <= item.metadata.items() and bool(value == _default(item))


def _default(item: dataclasses.Field[Any]) -> Any:
    if item.default_factory is dataclasses.MISSING:
        return item.default
    return item.default_factory()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        fields = ((item, getattr(value, item.name)) for item in dataclasses.fields(value))
        return {
            item.name: _plain(held)
            for item, held in fields
            if not _is_omitted(item, held, ADDED_SECTION)
        }
    if isinstance(value, dict):
        return {key: _plain(element) for key, element in value.items()}
    return [_plain(element) for element in value] if isinstance(value, tuple) else value
