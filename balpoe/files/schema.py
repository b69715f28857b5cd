"""Pydantic models of the configuration dataclasses, for strict validation of files.

Each dataclass is read through a model with the same fields. The model checks the rules of every
field, so that one pass reports all invalid fields. A section without invalid fields then becomes
a dataclass, which checks its fields against each other.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Union

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, create_model

from balpoe.config import Configuration, StudySpec
from balpoe.config.bounds import Rule, hints_of, required_fields
from balpoe.config.entry_tables import count_entries, table_of

STRICT: Final = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def adapter(hint: Any) -> TypeAdapter[Any]:
    """Return the validator of JSON for the type `hint`."""
    return _adapter(hint, count_entries())


@functools.cache
def _adapter(hint: Any, _entries: int) -> TypeAdapter[Any]:
    return TypeAdapter(_read_as(hint))


def fields_in_file(owner: type) -> Mapping[str, Any]:
    """Return the types of a section's keys; a study file includes the keys of its base."""
    hints: dict[str, Any] = {}
    for name, hint in hints_of(owner).items():
        hints |= hints_of(Configuration) if _is_base(owner, name) else {name: hint}
    return hints


def _is_base(owner: type, name: str) -> bool:
    return owner is StudySpec and name == "base"


def is_section(hint: Any) -> bool:
    """Whether a type is read from a mapping with fixed keys."""
    return isinstance(hint, type) and dataclasses.is_dataclass(hint) and table_of(hint) is None


@dataclass(frozen=True, slots=True)
class TaggedSections:
    """A union of sections: the key that selects one, and the section for each value."""

    key: str
    members: Mapping[Any, Any]


def tagged_sections(hint: Any) -> TaggedSections | None:
    """Return the sections of a union or a table, or None for any other type."""
    table = table_of(hint)
    if table is not None:
        return TaggedSections("name", table.entries)
    members = typing.get_args(hint)
    if not is_union(hint) or not all(is_section(member) for member in members):
        return None
    key = next(name for name, of in hints_of(members[0]).items() if _is_literal(of))
    chosen = {typing.get_args(hints_of(member)[key])[0]: member for member in members}
    return TaggedSections(key, chosen)


def is_union(hint: Any) -> bool:
    """Whether a type is ``A | B``, including ``A | None``."""
    return typing.get_origin(hint) in (Union, types.UnionType)


def _read_as(hint: Any) -> Any:
    """Convert a type, its sections and rules to pydantic's types."""
    tagged = tagged_sections(hint)
    if tagged is not None:
        sections = [_section(member) for member in tagged.members.values()]
        if len(sections) == 1:
            return sections[0]
        union = functools.reduce(operator.or_, sections)
        return Annotated[union, Field(discriminator=tagged.key)]
    if is_section(hint):
        return _section(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is None or origin is Literal:
        return hint
    if origin is Annotated:
        base, *metadata = arguments
        rules = [_obeying(rule) for rule in metadata if isinstance(rule, Rule)]
        return functools.reduce(lambda read, rule: Annotated[read, rule], rules, _read_as(base))
    read = tuple(argument if argument is ... else _read_as(argument) for argument in arguments)
    return functools.reduce(operator.or_, read) if is_union(hint) else origin[read]


def _section(owner: type) -> Any:
    required = required_fields(owner)
    if owner is StudySpec:
        required += required_fields(Configuration)
    fields: dict[str, Any] = {
        name: (_read_as(hint), ... if name in required else None)
        for name, hint in fields_in_file(owner).items()
    }
    model = create_model(owner.__name__, __config__=STRICT, **fields)
    return Annotated[model, AfterValidator(functools.partial(_built, owner))]


def _built(owner: type, model: Any) -> Any:
    """Construct the dataclass from the given keys; its own defaults fill the rest."""
    given = {name: getattr(model, name) for name in model.model_fields_set}
    if owner is StudySpec:
        base = {name: given.pop(name) for name in hints_of(Configuration) if name in given}
        given["base"] = Configuration(**base)
    return owner(**given)


def _obeying(rule: Rule) -> AfterValidator:
    return AfterValidator(_checked(rule))


def _checked(rule: Rule) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        problem = rule.problem(value)
        if problem is not None:
            raise ValueError(problem)
        return value

    return check


def _is_literal(hint: Any) -> bool:
    return typing.get_origin(hint) is Literal
