"""Validation of a document as a configuration or study."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import ValidationError

from balpoe.config import Parameter, StudySpec
from balpoe.config.bounds import Bounded
from balpoe.config.entry_tables import table_of
from balpoe.config.sampler import DEFAULT_SAMPLER
from balpoe.config.search_space import misfits
from balpoe.files.document import Document, Problem
from balpoe.files.problems import at, problems_in
from balpoe.files.schema import adapter, fields_in_file

Owner = TypeVar("Owner", bound=Bounded)


def validated(document: Document, owner: type[Owner]) -> Owner:
    """Convert the document to an object of the dataclass `owner`.

    Raises:
        ConfigurationError: the document is invalid; lists all problems with their places.
    """
    problems = list(document.problems)
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
    """Expand short forms such as ``sampler: tpe`` to sections."""
    if not isinstance(content, dict):
        return content
    hints = fields_in_file(owner)
    short = {
        key
        for key, value in content.items()
        # a data source has no short form, since most sources need further settings
        if isinstance(value, str) and key != "data" and table_of(hints.get(key)) is not None
    }
    written = {key: {"name": value} if key in short else value for key, value in content.items()}
    if isinstance(written.get("sampler"), dict):
        written["sampler"] = {"name": DEFAULT_SAMPLER, **written["sampler"]}
    return written


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
