"""Bootstrap intervals by hand, against all resamples one by one, and against SciPy's."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from balpoe.errors import NonFiniteError
from balpoe.evaluation.paired_bootstrap import EXACT_UP_TO, Interval, paired_interval

differences = st.lists(st.integers(-50, 50).map(lambda step: step / 300), min_size=1, max_size=5)


def interval(values: list[float], seed: int = 0) -> Interval:
    return paired_interval(values, np.random.default_rng(seed))


def test_of_three_differences_it_is_their_range() -> None:
    """The smallest one is drawn three times with a probability of 1/27, more than 2.5 %."""
    assert interval([0.01, 0.03, 0.02]) == Interval(0.01, 0.03)


def test_of_four_differences_it_leaves_the_extreme_resamples_out() -> None:
    """Of the 256 resamples of 0, 0, 0, 1 one is all ones, 12 have three: 13/256 exceed 2.5 %."""
    assert interval([0.0, 0.0, 0.0, 1.0]) == Interval(0.0, 0.75)


def test_equal_differences_leave_no_doubt() -> None:
    assert interval([0.02] * 5).excludes_zero
    assert interval([0.0] * 20) == Interval(0.0, 0.0)


@given(values=differences)
def test_it_is_the_percentile_of_all_resamples(values: list[float]) -> None:
    n = len(values)
    means = sorted(math.fsum(drawn) / n for drawn in itertools.product(values, repeat=n))
    tail = math.ceil(0.025 * len(means)) - 1
    found = interval(values)
    assert found.low == pytest.approx(means[tail], abs=1e-12)
    assert found.high == pytest.approx(means[-1 - tail], abs=1e-12)


@given(values=st.one_of(differences, st.lists(st.floats(-1, 1), min_size=9, max_size=12)))
def test_who_is_first_changes_the_sign_and_nothing_else(values: list[float]) -> None:
    one, other = interval(values), interval([-value for value in values])
    assert (one.low, one.high) == (-other.high, -other.low)


def test_a_mean_of_zero_is_zero_whatever_rounding_makes_of_it() -> None:
    nothing = 0.1 + 0.2 - 0.3
    assert nothing > 0
    assert interval([nothing, 0.2, 0.3]).low == 0
    assert not interval([0.1, 0.2, -0.3] * 4).excludes_zero
    assert interval([nothing, nothing, nothing]).excludes_zero  # there is nothing larger


@pytest.mark.parametrize("n", [6, EXACT_UP_TO, 25])
def test_it_is_scipys_percentile_bootstrap(n: int) -> None:
    generator = np.random.default_rng(n)
    values = generator.normal(0.01, 0.02, n)
    oracle = bootstrap(
        (values,), np.mean, n_resamples=100_000, method="percentile", rng=generator
    ).confidence_interval
    found = interval(values.tolist())
    # the percentiles of 10,000 resamples scatter by 0.02 of the spread or so
    tolerance = 0.1 * values.std() / math.sqrt(n)
    assert found.low == pytest.approx(oracle.low, abs=tolerance)
    assert found.high == pytest.approx(oracle.high, abs=tolerance)


@pytest.mark.parametrize(("n", "known"), [(3, 0.75), (5, 0.842), (8, 0.888), (20, 0.927)])
def test_it_covers_the_true_mean_as_often_as_is_documented(n: int, known: float) -> None:
    """For three it is exact: a range misses the median where all have one sign, 2·2⁻³."""
    sets = 500
    drawn = np.random.default_rng(n).standard_normal((sets, n)).tolist()
    covered = sum(not interval(values).excludes_zero for values in drawn) / sets
    # four standard errors of the measurement here, and as many of the documented one
    error = math.sqrt(known * (1 - known)) * (1 / math.sqrt(sets) + 1 / math.sqrt(20_000))
    assert covered == pytest.approx(known, abs=4 * error)


def test_one_seed_fixes_it_where_resamples_are_drawn() -> None:
    values = np.random.default_rng(0).standard_normal(30).tolist()
    assert interval(values, seed=4) == interval(values, seed=4)
    assert interval(values, seed=4) != interval(values, seed=5)


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(NonFiniteError, match="paired differences: must be finite, got"):
        interval([0.1, math.nan, 0.2])
