"""Validation of a document as a configuration or study."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import ValidationError

from balpoe.config import Configuration, Parameter, StudySpec
from balpoe.config.bounds import Bounded
from balpoe.config.entry_tables import table_of
from balpoe.config.published_points import POINT_SETS
from balpoe.config.search_space import misfits
from balpoe.config.wording import did_you_mean, listed, must_be
from balpoe.files.document import Document, Problem
from balpoe.files.problems import at, problems_in
from balpoe.files.schema import adapter, fields_in_file

_KNOWN_POINTS = "known_points"

Owner = TypeVar("Owner", bound=Bounded)


def validated(document: Document, owner: type[Owner]) -> Owner:
    """Convert the document to an object of the dataclass `owner`.

    Raises:
        ConfigurationError: the document is invalid; lists all problems with their places.
    """
    problems = [*document.problems, *_unknown_point_set(document.content, owner)]
    content = _written_out(document.content, owner)
    try:
        read = _read(owner, content)
    except ValidationError as error:
        found = list(problems_in(error, owner))
        problems += found
        if owner is StudySpec:
            problems += _misfits_beside(found, content.get("search"))
        raise document.error(problems) from None
    if problems:
        raise document.error(problems)
    assert isinstance(read, owner)
    return read


def _read(hint: Any, content: Any) -> Any:
    # strict pydantic converts lists to tuples only when it reads JSON
    return adapter(hint).validate_json(json.dumps(content))


def _written_out(content: Any, owner: type) -> Any:
    """Expand ``sampler: tpe`` to a section, and name the entry of a section without a name.

    The name of a set of known points becomes its points.
    A data source has neither form: it has no default, and most sources need further settings.
    """
    if not isinstance(content, dict):
        return content
    defaults = _default_entries(owner)
    written: dict[str, Any] = {}
    for key, value in content.items():
        if key in defaults and isinstance(value, str):
            written[key] = {"name": value}
        elif key in defaults and isinstance(value, dict):
            written[key] = {"name": defaults[key], **value}
        elif key == _KNOWN_POINTS and owner is StudySpec and isinstance(value, str):
            points = POINT_SETS.get(value, {})
            written[key] = {name: dict(point) for name, point in points.items()}
        else:
            written[key] = value
    return written


def _unknown_point_set(content: Any, owner: type) -> Iterator[Problem]:
    name = content.get(_KNOWN_POINTS) if isinstance(content, dict) else None
    if owner is StudySpec and isinstance(name, str) and name not in POINT_SETS:
        message = must_be(f"{listed(POINT_SETS)}, or keys with values", name)
        yield Problem((_KNOWN_POINTS,), message + did_you_mean(name, list(POINT_SETS)))


def _default_entries(owner: type) -> dict[str, str]:
    """Return the name of the default entry of each section that is chosen from a table."""
    items: list[dataclasses.Field[Any]] = [*dataclasses.fields(owner)]
    if owner is StudySpec:
        items += dataclasses.fields(Configuration)
    hints = fields_in_file(owner)
    return {
        item.name: item.default_factory().name
        for item in items
        if table_of(hints.get(item.name)) and item.default_factory is not dataclasses.MISSING
    }


def _misfits_beside(found: list[Problem], search: Any) -> Iterator[Problem]:
    """Yield misfits of the valid parameters in a study that has other problems.

    A study checks its parameters itself only if all of its fields are valid.
    """
    if not isinstance(search, dict):
        return
    paths = (problem.path for problem in found)
    faulty = {path[1] for path in paths if path[:1] == ("search",) and len(path) > 1}
    for path in search:
        if path not in faulty:
            yield from at((), misfits(path, _read(Parameter, search[path])))
