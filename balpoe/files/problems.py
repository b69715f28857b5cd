"""Pydantic's errors in our words, at the paths that the author of the file knows."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from balpoe.config.fields import configuration_fields, wrong_choice
from balpoe.config.wording import NOUNS, listed, must_be, unknown
from balpoe.errors import FieldProblem, InvalidFields
from balpoe.files.document import Path, Problem
from balpoe.files.schema import fields_in_file, is_section, tagged_sections

_EXPECTED = {
    "bool_type": NOUNS[bool],
    "int_type": NOUNS[int],
    "float_type": NOUNS[float],
    "string_type": NOUNS[str],
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "finite_number": "a finite number",
}


def problems_in(error: ValidationError, owner: type) -> list[Problem]:
    """Every problem that pydantic found in a document of the type `owner`."""
    faults: dict[_Place, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        faults.setdefault(_located(owner, details["loc"]), []).append(details)
    return [problem for place, found in faults.items() for problem in _described(place, found)]


def at(path: Path, problems: Iterable[FieldProblem]) -> Iterator[Problem]:
    """The problems of a section's fields as problems of the document that holds it at `path`."""
    return (Problem((*path, *problem.path), problem.message) for problem in problems)


@dataclass(frozen=True, slots=True)
class _Place:
    """A path in the document, the type that belongs there, and the section around it."""

    path: Path
    hint: Any
    section: type


def _located(owner: type, location: Sequence[str | int]) -> _Place:
    """The place of pydantic's location, which also names members of unions and marks keys."""
    path: Path = ()
    section, hint = owner, owner
    for part in location:
        hint = _bare(hint)
        tagged, origin = tagged_sections(hint), typing.get_origin(hint)
        if tagged is not None:
            hint = tagged.members[str(part)]
        elif is_section(hint):
            section, hint = hint, fields_in_file(hint).get(str(part))
            path = (*path, part)
        elif origin in (tuple, dict) and part != "[key]":
            hint = typing.get_args(hint)[0 if origin is tuple else 1]
            path = (*path, part)
    return _Place(path, _bare(hint), section)


def _bare(hint: Any) -> Any:
    """The type without its rules and without ``| None``."""
    arguments = [argument for argument in typing.get_args(hint) if argument is not type(None)]
    if typing.get_origin(hint) is Annotated or (is_union(hint) and len(arguments) == 1):
        return _bare(arguments[0])
    return hint


def _described(place: _Place, found: Sequence[ErrorDetails]) -> Iterator[Problem]:
    """The problems of one place; a union of scalars has an error from each of its members."""
    details, path = found[0], place.path
    kinds = [fault["type"] for fault in found]
    match details["type"]:
        case "value_error":
            for fault in found:
                yield from _broken_rule(path, fault["ctx"]["error"])
        case "extra_forbidden":
            candidates = [*fields_in_file(place.section), *configuration_fields()]
            yield Problem(path, _unknown_key(str(path[-1]), place.section), of_key=True)
        case "missing":
            yield Problem(path, "must be given")
        case "literal_error":
            yield Problem(path, wrong_choice(details["input"], typing.get_args(place.hint)))
        case "union_tag_invalid" | "union_tag_not_found":
            yield _wrong_tag(place, details["input"])
        case _ if "finite_number" in kinds:
            yield Problem(path, must_be(_EXPECTED["finite_number"], details["input"]))
        case kind if kind in _EXPECTED:
            expected = listed(_EXPECTED[kind] for kind in kinds)
            yield Problem(path, must_be(expected, details["input"]))
        case _:
            yield Problem(path, details["msg"])
