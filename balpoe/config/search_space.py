"""What a study searches: a range or a set of choices for fields of its configuration.

A parameter with `when` exists only in the trials in which all of its conditions hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from balpoe.config.bounds import Bounded, Real
from balpoe.config.conditions import Condition
from balpoe.config.fields import (
    Choice,
    SearchableField,
    searchable_fields,
    why_not_searchable,
)
from balpoe.config.wording import NOUNS, listed, shown
from balpoe.errors import FieldProblem

Within = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntParameter(Bounded):
    """An integer from `low` to `high`, both included."""

    type: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    when: dict[str, Condition] = field(default_factory=dict)

    @property
    def extremes(self) -> dict[Within, Choice]:
        """Values that stand for all that can be proposed, by their place in the parameter."""
        return {("low",): self.low, ("high",): self.high}

    def admits(self, value: Choice) -> bool:
        """Whether `value` can be proposed."""
        return isinstance(value, int) and self.low <= value <= self.high

    def further_problems(self) -> Iterator[FieldProblem]:
        """An empty range, or a logarithm of nothing."""
        return _range_problems(self.low, self.high, self.log)


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatParameter(Bounded):
    """A number from `low` to `high`, uniform or uniform in its logarithm."""

    type: Literal["float"] = "float"
    low: Real
    high: Real
    log: bool = False
    when: dict[str, Condition] = field(default_factory=dict)

    @property
    def extremes(self) -> dict[Within, Choice]:
        """Values that stand for all that can be proposed, by their place in the parameter."""
        return {("low",): self.low, ("high",): self.high}

    def admits(self, value: Choice) -> bool:
        """Whether `value` can be proposed."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def further_problems(self) -> Iterator[FieldProblem]:
        """An empty range, or a logarithm of nothing."""
        return _range_problems(self.low, self.high, self.log)


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoricalParameter(Bounded):
    """One of `choices`."""

    type: Literal["categorical"] = "categorical"
    choices: tuple[Choice, ...]
    when: dict[str, Condition] = field(default_factory=dict)

    @property
    def extremes(self) -> dict[Within, Choice]:
        """Every choice, by its place in the parameter."""
        return {("choices", index): choice for index, choice in enumerate(self.choices)}

    def admits(self, value: Choice) -> bool:
        """Whether `value` can be proposed."""
        return value in self.choices

    def further_problems(self) -> Iterator[FieldProblem]:
        """At least one choice, none twice."""
        if not self.choices:
            yield FieldProblem("choices", "must name at least one choice")
        if len(set(self.choices)) != len(self.choices):
            yield FieldProblem("choices", f"must differ, got {shown(self.choices)}")


Parameter = IntParameter | FloatParameter | CategoricalParameter


def misfits(path: str, parameter: Parameter) -> Iterator[FieldProblem]:
    """Why a parameter cannot replace the configuration field at `path`; fields of `search`."""
    replaced = searchable_fields().get(path)
    if replaced is None:
        yield FieldProblem("search", why_not_searchable(path), (path,))
    elif parameter.type not in _types_for(replaced):
        types = listed(_types_for(replaced))
        message = f"must be {types} ({path} is {NOUNS[replaced.kind]}), got {parameter.type}"
        yield FieldProblem("search", message, (path, "type"))
    else:
        for within, value in parameter.extremes.items():
            problem = replaced.problem(value)
            if problem is not None:
                yield FieldProblem("search", problem, (path, *within))


def _types_for(field: SearchableField) -> tuple[str, ...]:
    """The types of parameter whose every proposal the field could hold."""
    ranged = field.kind in (int, float) and not field.choices
    return (field.kind.__name__, "categorical") if ranged else ("categorical",)


def _range_problems(low: float, high: float, log: bool) -> Iterator[FieldProblem]:
    if low > high:
        yield FieldProblem("high", f"must be at least low ({low}), got {high}")
    if log and low <= 0:
        yield FieldProblem("low", f"must be above 0 on a logarithmic scale, got {low}")
