"""Constraints on the metrics and costs of a trial, besides its objectives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from balpoe.config.bounds import Bounded, Real, Rule
from balpoe.config.conditions import empty_interval
from balpoe.config.metrics import RANGES, is_objective, objective_names, validation_metrics
from balpoe.config.wording import unknown
from balpoe.errors import FieldProblem

COSTS: Final = ("parameters", "epoch_seconds", "peak_memory_mib")
"""The costs of a configuration: number of weights, and time and memory of the last epoch."""


@dataclass(frozen=True, slots=True)
class ConstrainedName(Rule):
    """The name of a metric on the validation split, or of a cost."""

    def problem(self, value: Any) -> str | None:
        """Return a message if `value` is no such name, else None."""
        if is_objective(value) or value in COSTS:
            return None
        known = (*objective_names(), *COSTS)
        if value.startswith("test/"):
            return "must be a val/ metric or a cost: a search never sees the test set"
        listed = (*validation_metrics(), *RANGES, *COSTS)
        return unknown("metric", value, known, listed=listed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint(Bounded):
    """The bounds of one metric after the last epoch of a trial."""

    at_least: Real | None = None
    at_most: Real | None = None

    def further_problems(self) -> Iterator[FieldProblem]:
        """Require at least one bound, and bounds that some value satisfies."""
        if self.at_least is None and self.at_most is None:
            yield FieldProblem("at_least", "must be given, or at_most")
        yield from empty_interval(self.at_least, self.at_most)

    def excesses(self, metric: str, value: float) -> Iterator[tuple[str, float]]:
        """Measure how far `value` exceeds each bound.

        Yields:
            The bound as text, and the excess as a fraction of the bound: negative if the bound
            holds, 0 at the bound. For a bound of 0 the excess is the distance. Fractions make
            the excesses of numbers of weights and of accuracies comparable.
        """
        if self.at_least is not None:
            scale = abs(self.at_least) or 1.0
            yield f"{metric} >= {self.at_least:g}", (self.at_least - value) / scale
        if self.at_most is not None:
            scale = abs(self.at_most) or 1.0
            yield f"{metric} <= {self.at_most:g}", (value - self.at_most) / scale


def excesses(
    constraints: Mapping[str, Constraint], metrics: Mapping[str, float]
) -> dict[str, float]:
    """Measure how far a trial exceeds each bound; it is feasible if no excess is above 0.

    Args:
        constraints: The bounds by metric.
        metrics: The finite values of all constrained metrics.
    """
    return {
        name: excess
        for metric, constraint in constraints.items()
        for name, excess in constraint.excesses(metric, metrics[metric])
    }


def violated(found: Mapping[str, float]) -> dict[str, float]:
    """Select the excesses that violate a constraint."""
    return {name: excess for name, excess in found.items() if excess > 0}


def total_violation(found: Mapping[str, float]) -> float:
    """Sum the violations, as Optuna does to rank trials; 0 if all constraints hold."""
    return math.fsum(violated(found).values())
