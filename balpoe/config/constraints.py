"""What a trial must keep to for its configuration to be of use, whatever its objectives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from balpoe.config.bounds import Bounded, Real, Rule
from balpoe.config.metrics import objective_names, shifted_metrics, validation_metrics
from balpoe.config.wording import unknown
from balpoe.errors import FieldProblem

COSTS: Final = ("parameters", "epoch_seconds", "peak_memory_mib")
"""What a configuration costs: its number of weights, and the last epoch's time and memory."""


@dataclass(frozen=True, slots=True)
class ConstrainedName(Rule):
    """A metric of the validation split, or a cost."""

    def problem(self, value: Any) -> str | None:
        """What is wrong with `value`, or None."""
        known = (*objective_names(), *COSTS)
        if value in known:
            return None
        if value.startswith("test/"):
            return "must be a val/ metric or a cost: a search never sees the test set"
        listed = (*validation_metrics(), f"{shifted_metrics()[0]} and its like", *COSTS)
        return unknown("metric", value, known, listed=listed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint(Bounded):
    """The bounds of one metric, as it is after a trial's last epoch."""

    at_least: Real | None = None
    at_most: Real | None = None

    def further_problems(self) -> Iterator[FieldProblem]:
        """Something must be said, and a number must be able to obey it."""
        if self.at_least is None and self.at_most is None:
            yield FieldProblem("at_least", "must be given, or at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            message = f"must be at least at_least ({self.at_least}), got {self.at_most}"
            yield FieldProblem("at_most", message)

    def excesses(self, metric: str, value: float) -> Iterator[tuple[str, float]]:
        """How far `value` lies beyond each bound, in words and as a fraction of the bound.

        Negative within, and at the bound 0; beyond a bound of 0 the distance itself. Fractions,
        so that a million weights count no more than a hundredth of accuracy.
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
    """How far a trial lies beyond each bound; feasible where all are at most 0.

    Args:
        constraints: The bounds by metric.
        metrics: All that are constrained, finite.
    """
    return {
        name: excess
        for metric, constraint in constraints.items()
        for name, excess in constraint.excesses(metric, metrics[metric])
    }


def violated(found: Mapping[str, float]) -> dict[str, float]:
    """Those of the excesses that break a constraint."""
    return {name: excess for name, excess in found.items() if excess > 0}


def total_violation(found: Mapping[str, float]) -> float:
    """By how much constraints are broken in all, 0 where none is: what Optuna ranks trials by."""
    return math.fsum(violated(found).values())
