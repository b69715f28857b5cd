"""Bounds on configuration fields, declared in their types and checked on construction.

``Annotated[int, Bounds(at_least=1)]`` states the rule once; construction from Python, from a
file and from a search space all obey it.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from balpoe.errors import FieldProblem, InvalidFields


@dataclass(frozen=True, slots=True)
class Bounds:
    """The numbers that a field may hold; NaN and infinity never may."""

    at_least: float = -math.inf
    above: float = -math.inf
    at_most: float = math.inf

    def problem(self, value: float) -> str | None:
        """What is wrong with `value`, or None."""
        if not math.isfinite(value):
            return f"must be a finite number, got {value}"
        if value < self.at_least:
            return f"must be at least {self.at_least}, got {value}"
        if value <= self.above:
            return f"must be above {self.above}, got {value}"
        if value > self.at_most:
            return f"must be at most {self.at_most}, got {value}"
        return None


Count = Annotated[int, Bounds(at_least=1)]
Index = Annotated[int, Bounds(at_least=0)]
Real = Annotated[float, Bounds()]
NonNegative = Annotated[float, Bounds(at_least=0)]
Positive = Annotated[float, Bounds(above=0)]
Ratio = Annotated[float, Bounds(at_least=1)]
Fraction = Annotated[float, Bounds(at_least=0, at_most=1)]


class Bounded:
    """Base of the configuration dataclasses: checks every declared bound on construction."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Raise `InvalidFields` with every field that cannot stand."""
        problems = [*self._broken_bounds(), *self.further_problems()]
        if problems:
            raise InvalidFields(type(self).__name__, problems)

    def further_problems(self) -> Iterator[FieldProblem]:
        """What is wrong beyond the bounds of single fields; none unless a class says so."""
        return iter(())

    def _broken_bounds(self) -> Iterator[FieldProblem]:
        for name, bounds in bounds_of(type(self)).items():
            value = getattr(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                message = None if number is None else bounds.problem(number)
                if message is not None:
                    yield FieldProblem(name, message)


@functools.cache
def bounds_of(owner: type) -> dict[str, Bounds]:
    """The declared bounds of a configuration dataclass, by field name."""
    hints = typing.get_type_hints(owner, include_extras=True)
    found = {
        field.name: _bounds_in(hints[field.name])
        for field in dataclasses.fields(owner)  # type: ignore[arg-type]
    }
    return {name: bounds for name, bounds in found.items() if bounds is not None}


def _bounds_in(hint: Any) -> Bounds | None:
    """The `Bounds` in a type hint, also inside `tuple[...]` and `... | None`."""
    for bounds in getattr(hint, "__metadata__", ()):
        if isinstance(bounds, Bounds):
            return bounds
    nested = (_bounds_in(argument) for argument in typing.get_args(hint))
    return next((bounds for bounds in nested if bounds is not None), None)
