"""Differences of trained models on the test set from a first one, paired over seeds.

Models that were trained with the same seed have the same order and augmentation of the data, and
the same initial weights where their networks have the same shape: their differences vary less than
their figures. All differences are one family of tests (`balpoe.study.selection.moderated_test`).
The seeds are fixed before the training, so that no seed is left out and there are no looks.

K models, R seeds, M metrics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from balpoe.config import shift_metrics
from balpoe.config.metrics import BALANCED
from balpoe.config.shifts import KNOWN_PRIOR, SHIFTS, WHOLE_TEST
from balpoe.study.selection.comparison import (
    VERDICTS,
    Difference,
    Verdict,
    difference_of,
    plain_difference,
)
from balpoe.study.selection.moderated_test import (
    FEWEST_FRESH_SEEDS,
    LARGEST_USEFUL,
    PairTests,
    paired_tests,
)

_METRICS = ("accuracy", "balanced_accuracy", "ece", "balanced_ece")

SeedMetrics = Mapping[int, Mapping[str, float]]
"""The metrics of a model by the seed of its training."""


@dataclass(frozen=True, slots=True)
class ModelDifferences:
    """The metrics of a model minus those of the first one, on the seeds that both have.

    Attributes:
        seeds: The shared seeds.
        differences: The difference of each metric.
        reason: Why there is no test, or None if there is.
    """

    seeds: tuple[int, ...]
    differences: Mapping[str, Difference]
    reason: str | None

    @property
    def verdict(self) -> Verdict:
        """Separable if any metric is."""
        found = {difference.verdict for difference in self.differences.values()}
        return next(verdict for verdict in VERDICTS if verdict in found)

    def as_plain(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "seeds": self.seeds,
            "n": len(self.seeds),
            "verdict": self.verdict,
            "reason": self.reason,
            "differences": {
                name: plain_difference(difference) for name, difference in self.differences.items()
            },
        }


def compared_metrics(models: Sequence[SeedMetrics], *, shifts: bool) -> list[str]:
    """Return the metrics to compare: those of the whole test set, and of `shifts` of it.

    Those that `distinct_metrics` leaves out are not compared.
    """
    names = [f"{WHOLE_TEST}/{metric}" for metric in _METRICS]
    if shifts:
        splits = [f"{WHOLE_TEST}_{shift.name}" for shift in SHIFTS]
        names += [
            f"{split}{known}/{metric}"
            for split in splits
            for known in ("", KNOWN_PRIOR)
            for metric in shift_metrics()
        ]
    return distinct_metrics(names, [values for model in models for values in model.values()])


def distinct_metrics(names: Sequence[str], seeds: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the metrics that every seed has, without repetitions.

    A metric over classes is left out where it equals the one over images for all seeds.
    """

    def is_distinct(name: str) -> bool:
        over_images = name.replace(f"/{BALANCED}", "/")
        return name == over_images or not all(
            over_images in values and math.isclose(values[name], values[over_images])
            for values in seeds
        )

    shared = (name for name in names if all(name in values for values in seeds))
    return list(filter(is_distinct, shared))


def differences_from_first(
    models: Sequence[SeedMetrics], metrics: Sequence[str]
) -> tuple[ModelDifferences, ...]:
    """Return the differences of each model but the first one from the first one.

    Models without a common seed are not compared: without pairs, the variance between seeds would
    count twice, while training both with the same seeds costs little.

    Args:
        models: At least two models.
        metrics: The metrics to compare; every seed has them.
    """
    seeds = sorted({seed for model in models for seed in model})
    values_krm = np.full((len(models), len(seeds), len(metrics)), math.nan)
    for place, model in enumerate(models):
        for seed, values in model.items():
            values_krm[place, seeds.index(seed)] = [values[name] for name in metrics]
    # a single look: the number of seeds was not decided by their results
    tests = paired_tests(values_krm, FEWEST_FRESH_SEEDS, against_first=True)
    return tuple(
        ModelDifferences(
            seeds=tuple(sorted(models[0].keys() & model.keys())),
            differences={
                name: difference_of(tests, pair, place).reversed
                for place, name in enumerate(metrics)
            },
            reason=_reason(models[0], model, tests, pair),
        )
        for pair, model in enumerate(models[1:])
    )


def _reason(first: SeedMetrics, other: SeedMetrics, tests: PairTests, pair: int) -> str | None:
    shared = len(first.keys() & other.keys())
    if shared >= FEWEST_FRESH_SEEDS:
        if tests.is_tested_pm[pair].any():
            return None
        return (
            f"no difference below {LARGEST_USEFUL:g} standard deviations of a seed could "
            f"have been shown with n = {shared}: train more seeds"
        )
    have = f"{shared} shared seed{'' if shared == 1 else 's'}"
    if not shared:
        have = f"no shared seed ({_listed(first)} and {_listed(other)})"
    return f"{have}: train both with the same --seeds, {FEWEST_FRESH_SEEDS} or more"


def _listed(model: SeedMetrics) -> str:
    return ", ".join(map(str, sorted(model)))
