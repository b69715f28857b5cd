"""The installed packages whose entries a configuration uses."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution
from itertools import takewhile
from typing import Any

from balpoe.config.configuration import Configuration
from balpoe.config.entry_tables import Entry, table_with
from balpoe.config.model import family_of


def entry_packages(configuration: Configuration) -> Mapping[str, str]:
    """Return the versions, by name, of the packages whose entries `configuration` uses.

    An entry belongs to the package with an entry point of its table whose modules are nearest to
    that of the settings class; balpoe's own belong to none.
    """
    built_in, *_ = __name__.partition(".")
    found = {}
    for entry in _entries(configuration):
        module = type(entry).__module__
        if module.partition(".")[0] != built_in:
            package = _package(module, group=table_with(entry).group)
            if package is not None:
                found[package.name] = package.version
    return found


def _entries(configuration: Configuration) -> Iterator[Entry]:
    yield from _within(configuration)
    family = family_of(configuration.model.backbone)
    if family is not None:
        yield family


def _within(value: Any) -> Iterator[Entry]:
    if isinstance(value, Entry):
        yield value
    if isinstance(value, tuple):
        for element in value:
            yield from _within(element)
    elif dataclasses.is_dataclass(value):
        for item in dataclasses.fields(value):
            yield from _within(getattr(value, item.name))


def _package(module: str, *, group: str) -> Distribution | None:
    """Return the package with the entry point whose module has most leading names in common."""
    points = importlib.metadata.entry_points(group=group)
    nearest = max(points, key=lambda point: _shared(point.module, module), default=None)
    return nearest.dist if nearest is not None and _shared(nearest.module, module) else None


def _shared(first: str, second: str) -> int:
    pairs = zip(first.split("."), second.split("."), strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
