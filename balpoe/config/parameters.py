"""Conversion of trial parameters, by dotted path, into a configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from balpoe.config.bounds import Bounded, hints_of
from balpoe.config.configuration import Configuration
from balpoe.config.entry_tables import Entry, table_with
from balpoe.config.fields import Choice, searchable_fields, stand_in, why_not_searchable
from balpoe.errors import FieldProblem, InvalidFields

Section = TypeVar("Section", bound=Bounded)


def with_parameters(
    configuration: Configuration, parameters: Mapping[str, Choice]
) -> Configuration:
    """Return the configuration with fields replaced: ``{"experts.count": 5}``.

    Raises:
        InvalidFields: a path is unknown, or a field or section cannot hold a value.
    """
    problems = list(_problems(parameters))
    if problems:
        raise InvalidFields("parameters", problems)
    fields = searchable_fields()
    nested: dict[str, Any] = {}
    for path, value in parameters.items():
        *sections, name = path.split(".")
        section = nested
        for key in sections:
            section = section.setdefault(key, {})
        section[name] = fields[path].holding(value)
    return _replaced(configuration, nested)


def canonical_parameters(parameters: Mapping[str, Choice]) -> dict[str, Choice]:
    """Return the parameters as they are recorded.

    Spread and sharing have no effect on a single expert. They are recorded as 0 and shared, so
    that equal models have equal records.
    """
    if parameters.get("experts.count") != 1:
        return dict(parameters)
    return {**parameters, "experts.spread": 0.0, "experts.sharing": "shared"}


def field_value(configuration: Configuration, path: str) -> Choice:
    """Return the value of the searchable field at `path`.

    For a setting that the chosen entry of a table lacks, return the default of the entry that
    has it; for a number that is left out, the one that `WhenSearched` states.
    """
    value: Any = configuration
    for name in path.split("."):
        value = getattr(value, name) if hasattr(value, name) else _default_setting(value, name)
    value = stand_in(path) if value is None else value
    assert isinstance(value, Choice)
    return value


def _default_setting(entry: Entry, name: str) -> Any:
    settings = table_with(entry).entries.values()
    return next(getattr(other(), name) for other in settings if name in hints_of(other))


def _problems(parameters: Mapping[str, Choice]) -> Iterator[FieldProblem]:
    fields = searchable_fields()
    for path, value in parameters.items():
        field = fields.get(path)
        message = why_not_searchable(path) if field is None else field.problem(value)
        if message is not None:
            yield FieldProblem(path, message)


def _require_settings(entry: Entry, names: Iterable[str]) -> None:
    """Raise `InvalidFields` if the entry lacks one of the settings."""
    message = f"is no setting of {entry.name}"
    missing = [FieldProblem(name, message) for name in names if not hasattr(entry, name)]
    if missing:
        raise InvalidFields(type(entry).__name__, missing)


def _replaced(section: Section, changes: Mapping[str, Any]) -> Section:
    """Copy a section with values replaced; a nested mapping changes a nested section.

    A changed `name` selects another entry of the table, with its defaults.
    """
    if isinstance(section, Entry) and "name" in changes and changes["name"] != section.name:
        section = table_with(section)[changes["name"]]()
    if isinstance(section, Entry):
        _require_settings(section, changes)
    values = {
        name: _replaced(getattr(section, name), change) if isinstance(change, Mapping) else change
        for name, change in changes.items()
    }
    return dataclasses.replace(section, **values)  # type: ignore[type-var]  # all are dataclasses
