"""A document read from a file: plain data that remembers the line of every key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from balpoe.config.wording import shortened
from balpoe.errors import ConfigurationError, dotted

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the key at `path` or with its value."""

    path: Path
    message: str


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data and where it came from.

    `lines` are the lines, counted from 1, of keys and of the elements of lists; empty for
    data without lines. `problems` were found while reading it.
    """

    place: str
    content: Any
    lines: Mapping[Path, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def error(self, problems: Iterable[Problem]) -> ConfigurationError:
        """All problems as one error, in the order of their lines."""
        return ConfigurationError(
            [self._described(item) for item in sorted(problems, key=self._line)]
        )

    def _described(self, problem: Problem) -> str:
        line = self._line(problem)
        place = f"{self.place}:{line}" if line else self.place
        path = (shortened(part) if isinstance(part, str) else part for part in problem.path)
        return f"{place} {dotted(path)}".rstrip() + f": {problem.message}"

    def _line(self, problem: Problem) -> int:
        """The line of the key, for a missing one that of the section around it; or 0."""
        nearest = (problem.path[:length] for length in range(len(problem.path), -1, -1))
        return next((self.lines[path] for path in nearest if path in self.lines), 0)
