"""Errors that the user can fix.

A message names the place, the value and the fix. The command line prints ``str(error)`` and exits
with status 2. Any other exception is a bug in balpoe (status 70).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class UserError(Exception):
    """An input, a file or a setting of the user is wrong; the message says how to fix it."""


class DataError(UserError):
    """Images, labels or the files that hold them cannot be used."""


class NoValidationImages(DataError):
    """A source has no validation images: its validation split is empty, or a class is too small."""


class CorruptFile(UserError):
    """A file written by balpoe is damaged, incomplete, modified or of an unsupported format."""


class StorageError(UserError):
    """A path cannot be read or written: permissions, a full disk, a missing directory."""


class WorkerDied(UserError):
    """A worker process was killed; its work can be resumed."""


class NonFiniteError(UserError, ValueError):
    """A value is NaN or infinite where a finite number is required."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """An invalid field of a configuration object and why: ``count``, ``must be at least 1, got 0``.

    `within` is the path from the field to the invalid value inside it: keys of mappings, indices
    of lists.
    """

    field: str
    message: str
    within: tuple[str | int, ...] = ()

    @property
    def path(self) -> tuple[str | int, ...]:
        """The path of the invalid value, field included."""
        return (self.field, *self.within)


class InvalidFields(UserError, ValueError):
    """A configuration object has invalid fields; the message lists all of them."""

    def __init__(self, owner: str, problems: Sequence[FieldProblem]) -> None:
        self.problems = tuple(problems)
        lines = (f"{dotted((owner, *problem.path))}: {problem.message}" for problem in problems)
        super().__init__("\n".join(lines))


class ConfigurationError(UserError):
    """A configuration or study file is invalid; each problem is one line with its position."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


def dotted(path: Iterable[str | int]) -> str:
    """Return a path through sections and lists as text: ``training.milestones[1]``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")
