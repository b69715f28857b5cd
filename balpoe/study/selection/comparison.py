"""What can be told apart: two configurations, compared by the seeds that both were trained with.

The seed of a training follows from the study's seed and the repeat, so that differences are
paired by repeat.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, Literal

import numpy as np

from balpoe.evaluation.paired_bootstrap import Interval, paired_interval
from balpoe.study.selection.candidates import Candidate

Verdict = Literal["separable", "not separable", "not tested"]

VERDICTS: Final[tuple[Verdict, ...]] = ("separable", "not separable", "not tested")
FEWEST_SEEDS: Final = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """An objective of one configuration minus that of another.

    `interval` holds the mean with a confidence of 95 %; None where there are too few seeds.
    """

    mean: float
    interval: Interval | None

    @property
    def verdict(self) -> Verdict:
        """Whether the interval excludes 0."""
        if self.interval is None:
            return "not tested"
        return "separable" if self.interval.excludes_zero else "not separable"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Trial `one` against trial `other` on the `n` seeds that both have, by objective."""

    one: int
    other: int
    n: int
    differences: Mapping[str, Difference]

    @property
    def verdict(self) -> Verdict:
        """Separable where any objective tells the two apart."""
        found = {difference.verdict for difference in self.differences.values()}
        return next(verdict for verdict in VERDICTS if verdict in found)


def compare(one: Candidate, other: Candidate, seed: int) -> Comparison:
    """The differences of two candidates; `seed` is for the resamples, where they are drawn."""
    shared = sorted(one.objectives.keys() & other.objectives.keys())
    names = one.objectives[shared[0]]
    return Comparison(
        one.number,
        other.number,
        len(shared),
        {
            name: _difference(
                [one.objectives[s][name] - other.objectives[s][name] for s in shared], seed
            )
            for name in names
        },
    )


def as_plain(comparison: Comparison) -> dict[str, Any]:
    """For JSON: the other trial, the number of shared seeds, and each objective's difference."""
    return {
        "trial": comparison.other,
        "n": comparison.n,
        "verdict": comparison.verdict,
        "objectives": {
            name: {
                "difference": difference.mean,
                "low": difference.interval and difference.interval.low,
                "high": difference.interval and difference.interval.high,
                "verdict": difference.verdict,
            }
            for name, difference in comparison.differences.items()
        },
    }


def comparisons(number: int, rivals: Sequence[Candidate], seed: int) -> tuple[Comparison, ...]:
    """One of the `rivals` against all others."""
    [one] = [rival for rival in rivals if rival.number == number]
    return tuple(compare(one, other, seed) for other in rivals if other.number != number)


def pair_verdicts(front: Sequence[Candidate], seed: int) -> dict[Verdict, int]:
    """How many pairs of the candidates are separable, not separable and not tested."""
    verdicts = [compare(one, other, seed).verdict for one, other in combinations(front, 2)]
    return {verdict: verdicts.count(verdict) for verdict in VERDICTS}


def _difference(differences: list[float], seed: int) -> Difference:
    tested = len(differences) >= FEWEST_SEEDS
    interval = paired_interval(differences, np.random.default_rng(seed)) if tested else None
    return Difference(statistics.fmean(differences), interval)
