"""Conditions under which a searched parameter exists in a trial.

A parameter whose conditions do not hold is not suggested; its field keeps the base value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from balpoe.config.bounds import Bounded, Real
from balpoe.config.fields import Choice
from balpoe.errors import FieldProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition(Bounded):
    """A condition on the value of another searched parameter; every given limit must hold.

    The condition does not hold in a trial that lacks the other parameter.
    """

    one_of: tuple[Choice, ...] | None = None
    at_least: Real | None = None
    at_most: Real | None = None

    def further_problems(self) -> Iterator[FieldProblem]:
        """Require at least one limit, and limits that some value satisfies."""
        if self.one_of is None and not self.limits:
            yield FieldProblem("one_of", "must be given, or at_least, or at_most")
        if self.one_of == ():
            yield FieldProblem("one_of", "must name at least one value")
        yield from empty_interval(self.at_least, self.at_most)

    @property
    def limits(self) -> tuple[float, ...]:
        """The given bounds."""
        return tuple(limit for limit in (self.at_least, self.at_most) if limit is not None)

    def holds(self, value: Choice) -> bool:
        """Whether `value` satisfies the condition."""
        if self.one_of is not None and value not in self.one_of:
            return False
        if isinstance(value, str):
            return not self.limits
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )


def empty_interval(at_least: float | None, at_most: float | None) -> Iterator[FieldProblem]:
    """Yield the problem of an interval whose upper bound lies below its lower bound."""
    if at_least is not None and at_most is not None and at_least > at_most:
        message = f"must be at least at_least ({at_least}), got {at_most}"
        yield FieldProblem("at_most", message)


def all_hold(conditions: Mapping[str, Condition], values: Mapping[str, Choice]) -> bool:
    """Whether every condition holds for the parameters of a trial, both by path."""
    return all(
        path in values and condition.holds(values[path]) for path, condition in conditions.items()
    )
