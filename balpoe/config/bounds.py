"""Rules for the values of single fields, declared in their types and checked on construction.

``Annotated[int, Bounds(at_least=1)]`` states a rule once. It is checked on construction from
Python, from a file and from a search space.
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
    """A rule for the value of a field, beyond its type."""

    __slots__ = ()

    @abstractmethod
    def problem(self, value: Any) -> str | None:
        """Return a message if `value` breaks the rule, else None."""


@dataclass(frozen=True, slots=True)
class Bounds(Rule):
    """The range of a number; NaN and infinity are always refused."""

    at_least: float = -math.inf
    above: float = -math.inf
    at_most: float = math.inf

    def problem(self, value: float) -> str | None:
        """Return a message if `value` is out of range or not finite, else None."""
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
    """Requires at least one element; `entry` names its kind in the message."""

    entry: str

    def problem(self, value: typing.Sized) -> str | None:
        """Return a message if `value` is empty, else None."""
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
    """Base of the configuration dataclasses; checks all declared rules on construction."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Raise `InvalidFields` that lists every invalid field."""
        problems = list(self._broken_rules()) or list(self.further_problems())
        if problems:
            raise InvalidFields(type(self).__name__, problems)

    def further_problems(self) -> Iterator[FieldProblem]:
        """Yield problems between fields whose own rules hold; none by default."""
        return iter(())

    def _broken_rules(self) -> Iterator[FieldProblem]:
        owner: type = type(self)
        for name, hint in hints_of(owner).items():
            for within, message in broken_rules(hint, getattr(self, name)):
                yield FieldProblem(name, message, within)


@functools.cache
def hints_of(owner: type) -> Mapping[str, Any]:
    """Return the type of each field of a configuration dataclass, rules included, in order."""
    hints = typing.get_type_hints(owner, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(owner)}


def required_fields(owner: type) -> list[str]:
    """Return the fields of a configuration dataclass that have no default, in their order."""
    return [
        item.name
        for item in dataclasses.fields(owner)
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    ]


def broken_rules(
    hint: Any, value: Any, within: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Check the rules of a type, also inside ``... | None``, tuples and the keys of dicts.

    Yields:
        The place inside `value`, and the message.
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
