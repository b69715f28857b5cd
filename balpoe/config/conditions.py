"""When a searched parameter exists: conditions on the values of others.

A parameter whose conditions do not hold is not suggested; its field keeps the base's value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from balpoe.config.bounds import Bounded, Real
from balpoe.config.fields import Choice
from balpoe.errors import FieldProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition(Bounded):
    """What the value of another searched parameter must be; all that is given must hold.

    It does not hold in a trial in which that parameter does not exist itself.
    """

    one_of: tuple[Choice, ...] | None = None
    at_least: Real | None = None
    at_most: Real | None = None

    def further_problems(self) -> Iterator[FieldProblem]:
        """Something must be said, and a number must be able to obey it."""
        if self.one_of is None and not self.limits:
            yield FieldProblem("one_of", "must be given, or at_least, or at_most")
        if self.one_of == ():
            yield FieldProblem("one_of", "must name at least one value")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            message = f"must be at least at_least ({self.at_least}), got {self.at_most}"
            yield FieldProblem("at_most", message)

    @property
    def limits(self) -> tuple[float, ...]:
        """The bounds that are given."""
        return tuple(limit for limit in (self.at_least, self.at_most) if limit is not None)

    def holds(self, value: Choice) -> bool:
        """Whether `value` obeys it."""
        if self.one_of is not None and value not in self.one_of:
            return False
        if isinstance(value, str):
            return not self.limits
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )


def all_hold(conditions: Mapping[str, Condition], values: Mapping[str, Choice]) -> bool:
    """Whether every condition holds for the parameters that a trial has, by their path."""
    return all(
        path in values and condition.holds(values[path]) for path, condition in conditions.items()
    )
