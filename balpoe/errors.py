"""The faults that a user can mend, as one family.

Whoever raises one names the place, the value and the cure; the command line prints
``str(error)`` and ends with status 2. Any other exception is a fault of ours (status 70).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class UserError(Exception):
    """Something the user gave or owns is at fault; the message says what, where and the cure."""


class DataError(UserError):
    """Images, labels or the files that hold them cannot be used as they are."""


class CorruptFile(UserError):
    """A file of ours is damaged, incomplete, touched or of a format this version does not read."""


class StorageError(UserError):
    """A directory or file cannot be written or read: permissions, a full disk, a missing path."""


class WorkerDied(UserError):
    """A process of ours was killed; what it did can be taken up again."""


class NonFiniteError(UserError, ValueError):
    """NaN or infinity where a number is needed; it is refused, never scored."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field that cannot stand: ``count``, ``must be at least 1, got 0``.

    `within` leads from the field to the culprit inside it: keys of a mapping, indices of a list.
    """

    field: str
    message: str
    within: tuple[str | int, ...] = ()

    @property
    def path(self) -> tuple[str | int, ...]:
        """The field and the way to the culprit inside it."""
        return (self.field, *self.within)


class InvalidFields(UserError, ValueError):
    """A configuration object was given impossible values; all of them are listed."""

    def __init__(self, owner: str, problems: Sequence[FieldProblem]) -> None:
        self.problems = tuple(problems)
        lines = (f"{dotted((owner, *problem.path))}: {problem.message}" for problem in problems)
        super().__init__("\n".join(lines))


class ConfigurationError(UserError):
    """A configuration or study file cannot stand; every problem has a line with its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


def dotted(path: Iterable[str | int]) -> str:
    """The name of a place inside nested sections and lists: ``training.milestones[1]``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")
