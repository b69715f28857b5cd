"""A document read from a file: plain data with the line of every key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from balpoe.config.wording import shortened
from balpoe.errors import ConfigurationError, dotted

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with the key at `path` or with its value."""

    path: Path
    message: str


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data and its origin.

    `lines` holds the lines, counted from 1, of keys and of list elements; it is empty for data
    without lines. `problems` were found while the document was read.
    """

    place: str
    content: Any
    lines: Mapping[Path, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def error(self, problems: Iterable[Problem]) -> ConfigurationError:
        """Return one error with all problems, sorted by line."""
        return ConfigurationError(
            [self._described(item) for item in sorted(problems, key=self._line)]
        )

    def _described(self, problem: Problem) -> str:
        line = self._line(problem)
        place = f"{self.place}:{line}" if line else self.place
        path = (shortened(part) if isinstance(part, str) else part for part in problem.path)
        return f"{place} {dotted(path)}".rstrip() + f": {problem.message}"

    def _line(self, problem: Problem) -> int:
        """Return the line of the key, for a missing key that of its section; 0 if unknown."""
        nearest = (problem.path[:length] for length in range(len(problem.path), -1, -1))
        return next((self.lines[path] for path in nearest if path in self.lines), 0)
