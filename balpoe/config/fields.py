"""The fields of a configuration that search parameters can replace, by dotted path."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from balpoe.config.bounds import broken_rules, hints_of
from balpoe.config.configuration import Configuration
from balpoe.config.entry_tables import Table, count_entries, table_of
from balpoe.config.wording import NOUNS, did_you_mean, listed, must_be, unknown

Choice = bool | int | float | str


@dataclass(frozen=True, slots=True)
class WhenSearched:
    """Makes a number that may be left out searchable, as ``Annotated[float | None, …]``.

    A point of a search that does not give the number has `value`.
    """

    value: Choice


@dataclass(frozen=True, slots=True)
class SearchableField:
    """A field that holds a single value, such as ``mixup.alpha``.

    `kind` is its type; `choices` lists the allowed values of a field with a fixed set.
    """

    path: str
    kind: type[Choice]
    choices: tuple[Choice, ...]
    hint: Any

    def problem(self, value: Choice) -> str | None:
        """Return a message if the field cannot hold `value`, else None."""
        if self.choices:
            return None if value in self.choices else wrong_choice(value, self.choices)
        integer_as_number = self.kind is float and type(value) is int
        if type(value) is not self.kind and not integer_as_number:
            return must_be(NOUNS[self.kind], value)
        return next((message for _, message in broken_rules(self.hint, value)), None)

    def holding(self, value: Choice) -> Choice:
        """Convert `value` to the type of the field: an integer to a float where needed."""
        return float(value) if self.kind is float else value


def wrong_choice(value: Any, choices: tuple[Choice, ...]) -> str:
    """Return ``must be shared or linear, got "share"; did you mean shared?``."""
    names = [str(choice) for choice in choices]
    suggestion = did_you_mean(value, names) if isinstance(value, str) else ""
    return must_be(listed(names), value) + suggestion


def searchable_fields() -> Mapping[str, SearchableField]:
    """Return the fields outside `data` that hold a single value, by dotted path."""
    return _searchable_fields(count_entries())


def configuration_fields() -> Mapping[str, Any]:
    """Return the types of all fields outside `data`, by dotted path, in order.

    A section that is chosen from a table has the fields of all entries of the table.
    """
    return _configuration_fields(count_entries())


@functools.cache
def _searchable_fields(entries: int) -> Mapping[str, SearchableField]:
    described = (_described(path, hint) for path, hint in _configuration_fields(entries).items())
    return {field.path: field for field in described if field is not None}


@functools.cache
def _configuration_fields(entries: int) -> Mapping[str, Any]:
    sections = {name: hint for name, hint in hints_of(Configuration).items() if name != "data"}
    return dict(_leaves(sections, ""))


def entry_settings(path: str) -> Mapping[str, bool]:
    """Return for each entry whether it has the setting at `path`; empty for any other field."""
    section, _, name = path.rpartition(".")
    table = table_of(hints_of(Configuration).get(section))
    if table is None or name == "name":
        return {}
    return {entry: name in hints_of(settings) for entry, settings in table.entries.items()}


def why_not_searchable(path: str) -> str:
    """Explain why a path is not among `searchable_fields`."""
    if path == "data" or path.startswith("data."):
        return "cannot be searched: trials on different data cannot be compared"
    if path in configuration_fields():
        return f"cannot be searched: it {_not_one_value(configuration_fields()[path])}"
    below = [known for known in searchable_fields() if known.startswith(f"{path}.")]
    if below:
        return f"cannot be searched as a whole: choose {listed(below)}"
    return unknown("field", path, list(searchable_fields()))


def _not_one_value(hint: Any) -> str:
    forms = (hint, *typing.get_args(hint))
    is_list = any(typing.get_origin(form) is tuple for form in forms)
    return "is a list" if is_list else "may be left out"


def _leaves(hints: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, hint in hints.items():
        table = table_of(hint)
        if table is not None:
            yield from _entry_fields(table, f"{prefix}{name}.")
        elif dataclasses.is_dataclass(hint):
            yield from _leaves(hints_of(typing.cast("type", hint)), f"{prefix}{name}.")
        else:
            yield prefix + name, hint


def _entry_fields(table: Table[Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield the `name` with all names of the table, then the fields of its entries."""
    yield f"{prefix}name", Literal[tuple(table.entries)]
    hints: dict[str, Any] = {}
    for settings in table.entries.values():
        for name, hint in hints_of(settings).items():
            hints[name] = _common(hints.get(name, hint), hint)
    yield from _leaves({name: hint for name, hint in hints.items() if name != "name"}, prefix)


def _common(hint: Any, other: Any) -> Any:
    """Return one type for settings of the same name; the chosen entry checks its own rules."""
    if hint == other:
        return hint
    return _base(hint) if _base(hint) == _base(other) else object


def stand_in(path: str) -> Choice:
    """Return the value at `path`, in a search, for a number that is left out."""
    marker = _when_searched(configuration_fields()[path])
    assert marker is not None
    return marker.value


def _when_searched(hint: Any) -> WhenSearched | None:
    metadata = getattr(hint, "__metadata__", ())
    return next((each for each in metadata if isinstance(each, WhenSearched)), None)


def _base(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint


def _described(path: str, hint: Any) -> SearchableField | None:
    base = _base(hint)
    if _when_searched(hint) is not None:
        [base] = (_base(form) for form in typing.get_args(base) if form is not type(None))
    if typing.get_origin(base) is Literal:
        choices = typing.get_args(base)
        return SearchableField(path, type(choices[0]), choices, hint)
    return SearchableField(path, base, (), hint) if base in NOUNS else None
