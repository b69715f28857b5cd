"""From a document to a configuration or study, or to all that is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import ValidationError

from balpoe.config import Parameter, StudySpec
from balpoe.config.bounds import Bounded
from balpoe.config.search_space import misfits
from balpoe.config.tables import table_of
from balpoe.files.document import Document, Problem
from balpoe.files.problems import at, problems_in
from balpoe.files.schema import adapter, fields_in_file

Owner = TypeVar("Owner", bound=Bounded)


def validated(document: Document, owner: type[Owner]) -> Owner:
    """The document as an object of the dataclass `owner`.

    Raises:
        ConfigurationError: all problems, each with its place.
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
    # JSON, because strict pydantic takes lists for tuples from JSON alone.
    return adapter(hint).validate_json(json.dumps(content))


def _written_out(content: Any, owner: type) -> Any:
    """The content with ``sampler: tpe`` and its like as the sections that they stand for."""
    if not isinstance(content, dict):
        return content
    hints = fields_in_file(owner)
    chosen = {
        key: {"name": value}
        for key, value in content.items()
        if isinstance(value, str) and (key == "sampler" or table_of(hints.get(key)) is not None)
    }
    return {**content, **chosen}


def _misfits_beside(found: list[Problem], search: Any) -> Iterator[Problem]:
    """Misfits of the parameters that are sound in themselves, in a study that is not.

    A study checks its parameters only once all of its fields are sound.
    """
    if not isinstance(search, dict):
        return
    paths = (problem.path for problem in found)
    faulty = {path[1] for path in paths if path[:1] == ("search",) and len(path) > 1}
    for path in search:
        if path not in faulty:
            yield from at((), misfits(path, _read(Parameter, search[path])))
