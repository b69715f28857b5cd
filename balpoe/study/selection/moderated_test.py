"""Paired t tests of all pairs of configurations, with variances that borrow from each other.

The variance of a paired difference is shrunk towards the other pairs' variances by limma's
empirical Bayes (Smyth 2004, "Linear models and empirical Bayes methods for assessing differential
expression in microarray experiments", equations 4 to 6 and section 6.2), with two guards. Prior
degrees of freedom are bounded by half those of the other configurations, and a prior variance is
at least the mean variance of the pairs of either configuration. Without the guards, equal
configurations with unequal variances are called different too often.

Where variances are unequal, the guarded test has less power than the plain paired t test. From
`FEWEST_FOR_PLAIN_T` seeds on, both are computed, the guarded one with its p-value times
`SHRUNK_CHARGE`, and the smaller p-value counts. That both together keep the level is measured
(tests/benchmarks/verdicts.py), not proven.

K configurations, P pairs, R fresh seeds, M objectives.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# nominal: two tests and estimated priors make the measured level larger, at most 0.05
LEVEL = 0.04
FEWEST_FRESH_SEEDS = 3
FEWEST_FOR_PLAIN_T = 5
SHRUNK_CHARGE = 2.0
LARGEST_USEFUL = 5.0

_EARLIER_LOOK = 1 / 3
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class PairTests:
    """The tests of all pairs.

    Attributes:
        one_p: The first configuration of each pair, [P].
        other_p: The second one, [P].
        n_p: The fresh seeds that both have, [P].
        mean_pm: The mean paired difference, NaN without a shared seed, [P, M].
        half_width_pm: Half the width of the interval, which is the smallest difference that could
            have been shown; NaN with fewer than `FEWEST_FRESH_SEEDS`, [P, M].
        is_separable_pm: Whether the difference was shown, [P, M].
        is_tested_pm: Whether a difference of `LARGEST_USEFUL` standard deviations of a seed could
            have been shown, [P, M].
    """

    one_p: Integers
    other_p: Integers
    n_p: Integers
    mean_pm: Floats
    half_width_pm: Floats
    is_separable_pm: NDArray[np.bool_]
    is_tested_pm: NDArray[np.bool_]


def look_share(n: int, most: int) -> float:
    """Return the share of the level that the look at `n` of at most `most` fresh seeds has.

    The last look has two thirds or more, each earlier one a third of the next one. The shares of
    all looks sum to 1 (Bonferroni), whatever decides which looks are taken.
    """
    looks = max(most - FEWEST_FRESH_SEEDS, 0) + 1
    earlier = min(max(most - n, 0), looks - 1)
    return (1 - _EARLIER_LOOK) / (1 - _EARLIER_LOOK**looks) * _EARLIER_LOOK**earlier


def paired_tests(values_krm: Floats, most: int, *, against_first: bool = False) -> PairTests:
    """Test every pair of configurations in every objective.

    All tests are one family: Holm's procedure, in which a p-value is compared with the share of
    its look, makes 5 % the nominal probability of any wrong "separable" over objectives, pairs and
    looks. Moderated t statistics follow the t distribution only approximately: the level is
    measured (tests/benchmarks/verdicts.py), not proven. Pairs without enough seeds count in the
    family, because the seeds that a configuration gets depend on those it has.

    Args:
        values_krm: The objectives of the fresh seeds, NaN where a configuration lacks a seed.
        most: The number of fresh seeds that a configuration can have in the end.
        against_first: Whether the family has only the pairs with the first configuration; the
            other pairs are not tested, but count for the variances.
    """
    one_p, other_p = np.triu_indices(len(values_krm), 1)
    shared_prm = values_krm[one_p] - values_krm[other_p]
    is_shared_pr = np.asarray(np.isfinite(shared_prm).all(axis=2))
    shared_prm = np.where(is_shared_pr[:, :, None], shared_prm, 0.0)
    n_p = is_shared_pr.sum(axis=1)
    with np.errstate(invalid="ignore"):
        mean_pm = shared_prm.sum(axis=1) / n_p[:, None]
    size_m = np.nanmax(np.abs(values_krm), axis=(0, 1), initial=0.0)
    mean_pm[np.abs(mean_pm) <= _ROUNDING * size_m] = 0.0
    half_width_pm = np.full(mean_pm.shape, np.nan)
    is_separable_pm = np.zeros(mean_pm.shape, np.bool_)
    is_tested_pm = np.zeros(mean_pm.shape, np.bool_)
    enough_p = n_p >= FEWEST_FRESH_SEEDS
    if enough_p.any():
        residual_prm = np.where(is_shared_pr[:, :, None], shared_prm - mean_pm[:, None], 0.0)
        squares_pm = (residual_prm**2).sum(axis=1)
        squares_pm[squares_pm <= n_p[:, None] * (_ROUNDING * size_m) ** 2] = 0.0
        seeds_k = np.isfinite(values_krm).all(axis=2).sum(axis=1)
        share_p = np.array([look_share(n, most) for n in n_p.tolist()])
        charge_p1 = np.where(n_p < FEWEST_FOR_PLAIN_T, 1.0, SHRUNK_CHARGE)[:, None]
        shrunk = _Test(*_shrunk_variances(squares_pm, n_p, seeds_k, one_p, other_p), charge_p1)
        shrunk.variance_pm[~enough_p] = np.nan
        plain = _Test(*_own_variances(squares_pm, n_p), np.ones_like(charge_p1))
        plain.variance_pm[n_p < FEWEST_FOR_PLAIN_T] = np.nan
        tests = (shrunk, plain)
        root_p1 = np.sqrt(np.maximum(n_p, 1))[:, None]
        p_pm = _smaller(test.p_values(mean_pm, root_p1) for test in tests)
        family = slice(len(values_krm) - 1 if against_first else None)
        level_p1 = np.full((len(n_p), 1), np.nan)
        is_separable_pm[family], level_p1[family] = _holm(p_pm[family], share_p[family])
        half_width_pm = _smaller(
            test.quantiles(level_p1) * np.sqrt(test.variance_pm) / root_p1 for test in tests
        )
        # of a difference of two configurations, whose variance is twice that of one
        in_sds_pm = _smaller(test.quantiles(level_p1) * math.sqrt(2) / root_p1 for test in tests)
        is_tested_pm = in_sds_pm <= LARGEST_USEFUL
    return PairTests(
        one_p, other_p, n_p, mean_pm, half_width_pm, is_separable_pm, is_tested_pm | is_separable_pm
    )


@dataclass(frozen=True, slots=True)
class _Test:
    """A t test of each pair: the variance of a difference and its degrees of freedom, [P, M].

    A NaN variance leaves a pair untested. The p-values are multiplied by `charge_p1`, [P, 1].
    """

    variance_pm: Floats
    df_pm: Floats
    charge_p1: Floats

    def p_values(self, mean_pm: Floats, root_p1: Floats) -> Floats:
        """Return the two-sided p-values of means over the squares of `root_p1` seeds."""
        from scipy.special import stdtr

        with np.errstate(invalid="ignore", divide="ignore"):
            t_pm = np.abs(mean_pm) * root_p1 / np.sqrt(self.variance_pm)
        p_pm: Floats = self.charge_p1 * 2 * stdtr(self.df_pm, -t_pm)
        return p_pm

    def quantiles(self, level_p1: Floats) -> Floats:
        """Return the critical values of |t| at these two-sided levels."""
        from scipy.special import stdtrit

        quantile_pm: Floats = -stdtrit(self.df_pm, level_p1 / self.charge_p1 / 2)
        return np.where(np.isfinite(self.variance_pm), quantile_pm, np.nan)


def _smaller(found: Iterable[Floats]) -> Floats:
    """Return the smallest number of each pair and objective; NaN if there is none."""
    smallest: Floats = functools.reduce(np.fmin, found)
    return smallest


def _own_variances(squares_pm: Floats, n_p: Integers) -> tuple[Floats, Floats]:
    """Return the variances and their degrees of freedom; NaN where all differences are equal."""
    df_pm = np.where(squares_pm > 0, (n_p - 1)[:, None], 0).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return squares_pm / df_pm, df_pm


def _shrunk_variances(
    squares_pm: Floats, n_p: Integers, seeds_k: Integers, one_p: Integers, other_p: Integers
) -> tuple[Floats, Floats]:
    """Return the shrunk variances and their degrees of freedom, both [P, M].

    The differences of a pair that are all equal hold no information about the noise: the variance
    is then the prior one, and NaN if there is none.
    """
    own_pm, df_pm = _own_variances(squares_pm, n_p)
    with np.errstate(invalid="ignore", divide="ignore"):
        prior_pm = _prior_variances(squares_pm, df_pm, len(seeds_k), one_p, other_p)
        further_k = np.maximum(seeds_k - 1, 0)
        others_p = further_k.sum() - further_k[one_p] - further_k[other_p]
        prior_df = _prior_df(own_pm, df_pm, len(seeds_k))
        prior_df_pm = np.minimum(prior_df, others_p / 2)[:, None] * np.ones_like(own_pm)
        prior_df_pm[~np.isfinite(prior_pm)] = 0.0
        total_pm = prior_df_pm + df_pm
        prior_part_pm = np.where(prior_df_pm > 0, prior_df_pm * prior_pm, 0.0)
        return (prior_part_pm + squares_pm) / total_pm, total_pm


def _prior_variances(
    squares_pm: Floats, df_pm: Floats, configurations: int, one_p: Integers, other_p: Integers
) -> Floats:
    """Return the mean variance over all pairs, or over those of either configuration, [P, M].

    The largest of the three is returned.
    """
    shape = (configurations, squares_pm.shape[1])
    squares_km, df_km = np.zeros(shape), np.zeros(shape)
    for each_p in (one_p, other_p):
        np.add.at(squares_km, each_p, squares_pm)
        np.add.at(df_km, each_p, df_pm)
    of_one_km = np.where(df_km > 0, squares_km / df_km, 0.0)
    of_all_m = squares_pm.sum(axis=0) / df_pm.sum(axis=0)
    prior_pm: Floats = np.maximum(np.maximum(of_one_km[one_p], of_one_km[other_p]), of_all_m)
    return prior_pm


def _prior_df(own_pm: Floats, df_pm: Floats, configurations: int) -> float:
    """Return the prior degrees of freedom by the moments of the log variances (Smyth 2004, 6.2).

    The excess of the log variances' spread over that of equal true variances is the mean over the
    objectives. Differences that share a configuration have a correlation of 1/2, log variances
    then one of about 1/4, for which the spread is corrected.
    """
    from scipy.special import digamma, polygamma

    excess = []
    for own_p, df_p in zip(own_pm.T, df_pm.T, strict=True):
        used_p = df_p > 0
        if used_p.sum() < 2:
            continue
        half_p = df_p[used_p] / 2
        log_p = np.log(own_p[used_p]) - digamma(half_p) + np.log(half_p)
        pairs = configurations * (configurations - 1) / 2
        correlation = (configurations - 2) / 2 / (pairs - 1)
        spread = log_p.var(ddof=1) / (1 - correlation)
        excess.append(spread - polygamma(1, half_p).mean())
    if not excess:
        return 0.0
    mean = float(np.mean(excess))
    return 2 * _inverse_trigamma(mean) if mean > 0 else np.inf


def _inverse_trigamma(value: float) -> float:
    """Return x with trigamma(x) = `value`, by Newton's method (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    if value < 1e-7:
        return 1 / value
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x


def _holm(p_pm: Floats, share_p: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Return which differences are shown, [P, M], and the level of Holm's last step, [P, 1].

    The step-down procedure (Holm 1979) compares p-values over `share_p` with the level over the
    number of hypotheses left. At its last level, an interval excludes 0 exactly where a difference
    is shown.
    """
    weighed_pm = np.nan_to_num(p_pm, nan=np.inf) / share_p[:, None]
    order = np.argsort(weighed_pm, axis=None, kind="stable")
    left = weighed_pm.size - np.arange(weighed_pm.size)
    passes = weighed_pm.ravel()[order] * left <= LEVEL
    shown = weighed_pm.size if passes.all() else int(np.argmin(passes))
    is_shown = np.zeros(weighed_pm.size, np.bool_)
    is_shown[order[:shown]] = True
    last_level_p = LEVEL * share_p / max(weighed_pm.size - shown, 1)
    return is_shown.reshape(weighed_pm.shape), last_level_p[:, None]
