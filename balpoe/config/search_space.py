"""The search space: a range or a set of choices for each searched field.

A parameter with `when` exists only in trials in which all of its conditions hold.
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
class _Range(Bounded):
    """A range from `low` to `high`, both included; abstract."""

    type: str
    low: float
    high: float
    log: bool = False
    when: dict[str, Condition] = field(default_factory=dict)

    @property
    def extremes(self) -> dict[Within, Choice]:
        """Values that represent all proposals, by their place in the parameter."""
        return {("low",): self.low, ("high",): self.high}

    def admits(self, value: Choice) -> bool:
        """Whether `value` can be proposed."""
        numbers = int if self.type == "int" else int | float
        return isinstance(value, numbers) and self.low <= value <= self.high

    def further_problems(self) -> Iterator[FieldProblem]:
        """Refuse an empty range, and a logarithmic range that reaches 0."""
        if self.low > self.high:
            yield FieldProblem("high", f"must be at least low ({self.low}), got {self.high}")
        if self.log and self.low <= 0:
            message = f"must be above 0 on a logarithmic scale, got {self.low}"
            yield FieldProblem("low", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntParameter(_Range):
    """An integer from `low` to `high`, both included."""

    type: Literal["int"] = "int"
    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatParameter(_Range):
    """A number from `low` to `high`, uniform or uniform in its logarithm."""

    type: Literal["float"] = "float"
    low: Real
    high: Real


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoricalParameter(Bounded):
    """One of `choices`."""

    type: Literal["categorical"] = "categorical"
    choices: tuple[Choice, ...]
    when: dict[str, Condition] = field(default_factory=dict)

    @property
    def extremes(self) -> dict[Within, Choice]:
        """All choices, by their place in the parameter."""
        return {("choices", index): choice for index, choice in enumerate(self.choices)}

    def admits(self, value: Choice) -> bool:
        """Whether `value` can be proposed."""
        return value in self.choices

    def further_problems(self) -> Iterator[FieldProblem]:
        """Require at least one choice, and distinct choices."""
        if not self.choices:
            yield FieldProblem("choices", "must name at least one choice")
        if len(set(self.choices)) != len(self.choices):
            yield FieldProblem("choices", f"must differ, got {shown(self.choices)}")


Parameter = IntParameter | FloatParameter | CategoricalParameter


def misfits(path: str, parameter: Parameter) -> Iterator[FieldProblem]:
    """Yield why a parameter cannot replace the configuration field at `path`."""
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
    """Return the types of parameters whose proposals all fit the field."""
    ranged = field.kind in (int, float) and not field.choices
    return (field.kind.__name__, "categorical") if ranged else ("categorical",)
