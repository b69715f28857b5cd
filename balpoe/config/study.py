"""The specification of one study: a base configuration, what is searched and how far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from balpoe.config.bounds import Bounded, Count, Index, NonNegative, Real
from balpoe.config.configuration import Configuration
from balpoe.errors import FieldProblem

Direction = Literal["maximize", "minimize"]
Choice = bool | int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class IntParameter(Bounded):
    """An integer from `low` to `high`, both included."""

    type: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False

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

    def further_problems(self) -> Iterator[FieldProblem]:
        """An empty range, or a logarithm of nothing."""
        return _range_problems(self.low, self.high, self.log)


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoricalParameter(Bounded):
    """One of `choices`."""

    type: Literal["categorical"] = "categorical"
    choices: tuple[Choice, ...]

    def further_problems(self) -> Iterator[FieldProblem]:
        """At least one choice, none twice."""
        if not self.choices:
            yield FieldProblem("choices", "must name at least one choice")
        if len(set(self.choices)) != len(self.choices):
            yield FieldProblem("choices", f"must differ, got {list(self.choices)}")


Parameter = IntParameter | FloatParameter | CategoricalParameter


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetConfig(Bounded):
    """Where a study ends: after this many finished trials."""

    trials: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcesConfig(Bounded):
    """What one trial gets, and how many trials run at a time."""

    cpus_per_trial: Count = 1
    gpus_per_trial: NonNegative = 0.0
    concurrent_trials: Count = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec(Bounded):
    """One study: `search` replaces fields of `base`, named by their dotted path."""

    name: str
    base: Configuration
    search: dict[str, Parameter]
    objectives: dict[str, Direction]
    budget: BudgetConfig
    question: str = ""
    sampler: Literal["tpe", "random"] = "tpe"
    seed: Index = 0
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)

    def further_problems(self) -> Iterator[FieldProblem]:
        """What a study cannot be: nameless, aimless, or blind to the rule about test data."""
        if not self.name.replace("_", "").replace("-", "").isalnum():
            message = f"must be letters, digits, '-' and '_' only, got {self.name!r}"
            yield FieldProblem("name", message)
        if not self.search:
            yield FieldProblem("search", "must name at least one field to search")
        if not self.objectives:
            yield FieldProblem("objectives", "must name at least one metric")
        for metric in self.objectives:
            if not metric.startswith("val/"):
                message = f"must be val/* metrics (search never sees the test set), got {metric}"
                yield FieldProblem("objectives", message)


def _range_problems(low: float, high: float, log: bool) -> Iterator[FieldProblem]:
    if low > high:
        yield FieldProblem("high", f"must be at least low ({low}), got {high}")
    if log and low <= 0:
        yield FieldProblem("low", f"must be above 0 on a logarithmic scale, got {low}")
