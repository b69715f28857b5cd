"""Translation of pydantic's errors into messages at the paths of the file."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from balpoe.config.fields import configuration_fields, entry_settings, wrong_choice
from balpoe.config.wording import NOUNS, did_you_mean, listed, must_be, unknown
from balpoe.errors import FieldProblem, InvalidFields, dotted
from balpoe.files.document import Path, Problem
from balpoe.files.schema import fields_in_file, is_section, is_union, tagged_sections

_EXPECTED: Final = {
    "bool_type": NOUNS[bool],
    "int_type": NOUNS[int],
    "float_type": NOUNS[float],
    "string_type": NOUNS[str],
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
}


@dataclass(frozen=True, slots=True)
class _Place:
    """A path in the document, the expected type and the enclosing section.

    `of_key` is true if the key at `path` is invalid, false if its value is.
    """

    path: Path
    hint: Any
    section: type
    of_key: bool


def problems_in(error: ValidationError, owner: type) -> Iterator[Problem]:
    """Yield every problem that pydantic found in a document of the type `owner`."""
    faults: dict[tuple[Path, bool], tuple[_Place, list[ErrorDetails]]] = {}
    for details in error.errors(include_url=False):
        place = _located(owner, details["loc"])
        faults.setdefault((place.path, place.of_key), (place, []))[1].append(details)
    for place, found in faults.values():
        yield from _described(place, found)


def at(path: Path, problems: Iterable[FieldProblem]) -> Iterator[Problem]:
    """Convert problems of fields to problems of the document that has the section at `path`."""
    return (Problem((*path, *problem.path), problem.message) for problem in problems)


def _located(owner: type, location: Sequence[str | int]) -> _Place:
    """Convert pydantic's location, which also names members of unions and marks keys."""
    path: Path = ()
    section: type = owner
    hint: Any = owner
    of_key = is_value = False
    for part in location:
        tagged, origin = tagged_sections(hint), typing.get_origin(hint)
        of_key = is_value and part == "[key]"
        is_value = origin is dict
        if of_key:
            break
        if tagged is not None and len(tagged.members) == 1:
            # pydantic has no discriminator here, so the location does not name the member
            [hint], tagged = tagged.members.values(), None
        if tagged is not None:
            hint = tagged.members[part]
        elif is_section(hint):
            section, hint = hint, _bare(fields_in_file(hint).get(str(part)))
            path = (*path, part)
        elif origin in (tuple, dict):
            hint = _bare(typing.get_args(hint)[0 if origin is tuple else 1])
            path = (*path, part)
    return _Place(path, hint, section, of_key)


def _bare(hint: Any) -> Any:
    """Return the type without its rules and without ``| None``."""
    arguments = [argument for argument in typing.get_args(hint) if argument is not type(None)]
    if typing.get_origin(hint) is Annotated or (is_union(hint) and len(arguments) == 1):
        return _bare(arguments[0])
    return hint


def _described(place: _Place, found: Sequence[ErrorDetails]) -> Iterator[Problem]:
    """Yield the problems of one place; a union of scalars has one error for each member."""
    path, value = place.path, found[0]["input"]
    kinds = [details["type"] for details in found]
    match kinds[0]:
        case "value_error":
            for details in found:
                yield from _broken_rule(path, details["ctx"]["error"])
        case "extra_forbidden":
            yield Problem(path, _unknown_key(path, place.section))
        case "missing":
            yield Problem(path, "must be given")
        case "literal_error":
            yield Problem(path, wrong_choice(value, typing.get_args(place.hint)))
        case "union_tag_invalid" | "union_tag_not_found":
            yield _wrong_tag(place, value)
        case _ if "finite_number" in kinds:
            yield Problem(path, f"must be a finite number, got {value}")
        case kind if kind in _EXPECTED:
            hint = ": put it in quotes" if kinds == ["string_type"] and value is not None else ""
            yield Problem(path, must_be(listed(_EXPECTED[kind] for kind in kinds), value) + hint)
        case _:
            yield Problem(path, found[0]["msg"])


def _broken_rule(path: Path, error: Exception) -> Iterator[Problem]:
    if isinstance(error, InvalidFields):
        yield from at(path, error.problems)
    else:
        yield Problem(path, str(error))


def _unknown_key(path: Path, section: type) -> str:
    key, siblings = str(path[-1]), list(fields_in_file(section))
    others = [entry for entry, has in entry_settings(dotted(path)).items() if has]
    if others:
        return f"is a setting of {listed(others)} alone; known are {', '.join(siblings)}"
    fields = (path for path in configuration_fields() if not path.endswith(".name"))
    elsewhere = did_you_mean(key, [*siblings, *fields])
    return f"unknown key{elsewhere}" if elsewhere else unknown("key", key, siblings)


def _wrong_tag(place: _Place, section: dict[str, Any]) -> Problem:
    """Return the problem of a missing or unknown key that selects a section."""
    tagged = tagged_sections(place.hint)
    assert tagged is not None
    path, choices = (*place.path, tagged.key), tuple(tagged.members)
    if tagged.key in section:
        return Problem(path, wrong_choice(section[tagged.key], choices))
    return Problem(path, f"must be given: {listed(map(str, choices))}")
