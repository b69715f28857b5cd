"""Rules for the values of single fields, declared in their types and checked on construction.

``Annotated[int, Bounds(at_least=1)]`` states the rule once; construction from Python, from a
file and from a search space all obey it.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from balpoe.errors import FieldProblem, InvalidFields


class Rule(ABC):
    """What the value of a field must obey beyond its type."""

    __slots__ = ()

    @abstractmethod
    def problem(self, value: Any) -> str | None:
        """What is wrong with `value`, or None."""


@dataclass(frozen=True, slots=True)
class Bounds(Rule):
    """The numbers that a field may hold; NaN and infinity never may."""

    at_least: float = -math.inf
    above: float = -math.inf
    at_most: float = math.inf

    def problem(self, value: float) -> str | None:
        """What is wrong with `value`, or None."""
        if not -math.inf < value < math.inf:
            return f"must be a finite number, got {value}"
        if value < self.at_least:
            return f"must be at least {self.at_least}, got {value}"
        if value <= self.above:
            return f"must be above {self.above}, got {value}"
        if value > self.at_most:
            return f"must be at most {self.at_most}, got {value}"
        return None


@dataclass(frozen=True, slots=True)
class NotEmpty(Rule):
    """At least one entry; `entry` says of what."""

    entry: str

    def problem(self, value: typing.Sized) -> str | None:
        """What is wrong with `value`, or None."""
        return None if len(value) else f"must name at least one {self.entry}"


Count = Annotated[int, Bounds(at_least=1, at_most=10**9)]
Index = Annotated[int, Bounds(at_least=0, at_most=10**9)]
Seed = Annotated[int, Bounds(at_least=0, at_most=2**32 - 1)]
Real = Annotated[float, Bounds()]
NonNegative = Annotated[float, Bounds(at_least=0)]
Positive = Annotated[float, Bounds(above=0)]
Ratio = Annotated[float, Bounds(at_least=1)]
Fraction = Annotated[float, Bounds(at_least=0, at_most=1)]


class Bounded:
    """Base of the configuration dataclasses: checks every declared rule on construction."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Raise `InvalidFields` with every field that cannot stand."""
        problems = list(self._broken_rules()) or list(self.further_problems())
        if problems:
            raise InvalidFields(type(self).__name__, problems)

    def further_problems(self) -> Iterator[FieldProblem]:
        """What is wrong between fields that each obey their rules; none unless a class says so."""
        return iter(())

    def _broken_rules(self) -> Iterator[FieldProblem]:
        owner: type = type(self)
        for name, hint in hints_of(owner).items():
            for within, message in broken_rules(hint, getattr(self, name)):
                yield FieldProblem(name, message, within)


@functools.cache
def hints_of(owner: type) -> Mapping[str, Any]:
    """The types of a configuration dataclass's fields, rules included, in their order."""
    hints = typing.get_type_hints(owner, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(owner)}


def broken_rules(
    hint: Any, value: Any, within: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The broken rules of a type, also inside ``... | None``, tuples and the keys of dicts.

    Yields:
        Where inside `value` the culprit is, and what is wrong with it.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if value is None or origin is None:
        return
    if origin is Annotated:
        base, *metadata = arguments
        messages = (rule.problem(value) for rule in metadata if isinstance(rule, Rule))
        yield from ((within, message) for message in messages if message is not None)
        yield from broken_rules(base, value, within)
    elif origin is tuple:
        for index, element in enumerate(value):
            yield from broken_rules(arguments[0], element, (*within, index))
    elif origin is dict:
        for key in value:
            yield from broken_rules(arguments[0], key, (*within, key))
    else:
        for argument in arguments:
            yield from broken_rules(argument, value, within)
