"""The bootstrap interval of the mean paired difference between two configurations.

Efron's percentile interval (Efron and Tibshirani 1993, chapter 13) of the mean of n differences,
one per seed that both were trained with. Up to `EXACT_UP_TO` differences, all n^n resamples are
enumerated, grouped by their counts; beyond, `RESAMPLES` are drawn.

With few seeds the interval is too narrow. Measured on 20,000 sets of normal differences (a test
repeats part of the measurement), the 95 % interval covers the true mean in

    n          3      4      5      6      8     10     20
    covered 75.5 % 80.5 % 84.2 % 86.1 % 88.8 % 89.8 % 92.7 %

of cases. With three differences it is their range: it excludes 0 if all three have the same sign,
which occurs for equal configurations in 2·2⁻³ = 25 % of cases. "Separable" at three seeds is
therefore weak evidence, and every such statement is shown with the number of seeds.

n differences, R resamples.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balpoe.errors import NonFiniteError

LEVEL = 0.95
EXACT_UP_TO = 8
RESAMPLES = 10_000

_ROUNDING = 1e-12

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`, both included."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside."""
        return self.low > 0 or self.high < 0


def paired_interval(differences: Sequence[float], generator: np.random.Generator) -> Interval:
    """Return the 95 % interval of the mean of at least one difference.

    Negated differences give the negated interval. A bound that is 0 up to rounding is exactly 0.

    Args:
        differences: One difference for each seed.
        generator: Draws the resamples if there are too many to enumerate.

    Raises:
        NonFiniteError: a difference is NaN or infinite.
    """
    differences_n = np.asarray(differences, dtype=np.float64)
    if not np.isfinite(differences_n).all():
        raise NonFiniteError(f"paired differences: must be finite, got {list(differences)}")
    means_r, probabilities_r = _resampled_means(differences_n, generator)
    low = _lower_bound(means_r, probabilities_r)
    high = -_lower_bound(-means_r, probabilities_r)
    nothing = _ROUNDING * float(np.abs(differences_n).max())
    return Interval(*(0.0 if abs(bound) <= nothing else bound for bound in (low, high)))


def _lower_bound(means_r: Floats, probabilities_r: Floats) -> float:
    """The (1 - LEVEL) / 2 quantile of the means."""
    order = np.argsort(means_r, kind="stable")
    cumulative = np.cumsum(probabilities_r[order])
    tail = (1 - LEVEL) / 2 * (1 - _ROUNDING)
    return float(means_r[order][np.searchsorted(cumulative, tail)])


def _resampled_means(
    differences_n: Floats, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """The mean of every resample, and its probability."""
    n = len(differences_n)
    if n <= EXACT_UP_TO:
        shares_rn, probabilities_r = _all_resamples(n)
        return shares_rn @ differences_n, probabilities_r
    drawn_rn = generator.integers(n, size=(RESAMPLES, n))
    return differences_n[drawn_rn].mean(axis=1), np.full(RESAMPLES, 1 / RESAMPLES)


@functools.cache
def _all_resamples(n: int) -> tuple[Floats, Floats]:
    """The share of each difference in each resample, and the probability of each resample."""
    drawn = itertools.combinations_with_replacement(range(n), n)
    counts_rn = np.array([np.bincount(indices, minlength=n) for indices in drawn])
    orders_r = [
        math.factorial(n) // math.prod(map(math.factorial, counts)) for counts in counts_rn.tolist()
    ]
    return counts_rn / n, np.array(orders_r) / n**n
