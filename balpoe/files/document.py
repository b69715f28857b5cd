"""A document read from a file: plain data that remembers the line of every key and value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from balpoe.config.wording import shortened
from balpoe.errors import ConfigurationError, dotted

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """The lines, counted from 1, of a key (or a list's element) and of its value."""

    key: int
    value: int


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at `path`; `of_key` where the key itself is at fault and not its value."""

    path: Path
    message: str
    of_key: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data and where it came from.

    `lines` is empty for data without lines; `problems` were found while reading it.
    """

    place: str
    content: Any
    lines: Mapping[Path, Line] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def error(self, problems: Sequence[Problem]) -> ConfigurationError:
        """All problems as one error, in the order of their lines."""
        ordered = sorted(problems, key=self._line)
        return ConfigurationError([self._described(problem) for problem in ordered])

    def _described(self, problem: Problem) -> str:
        line, name = self._line(problem), dotted(_readable(problem.path))
        place = f"{self.place}:{line}" if line else self.place
        return f"{place} {name}: {problem.message}" if name else f"{place}: {problem.message}"

    def _line(self, problem: Problem) -> int:
        """The line of the value or key, of the nearest section around what is missing, or 0."""
        exact = self.lines.get(problem.path)
        if exact is not None:
            return exact.key if problem.of_key else exact.value
        around = (problem.path[:length] for length in range(len(problem.path) - 1, -1, -1))
        return next((self.lines[path].key for path in around if path in self.lines), 0)


def _readable(path: Path) -> Path:
    return tuple(shortened(part) if isinstance(part, str) else part for part in path)
