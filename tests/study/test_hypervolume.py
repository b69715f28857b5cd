from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume

from balpoe.study.selection.hypervolume import hypervolume, reference_point

levels = st.sampled_from([-1.0, -0.4, 0.0, 0.25, 0.5, 1.0])


@given(
    points=st.integers(1, 4).flatmap(
        lambda m: st.lists(st.tuples(*[levels] * m), min_size=1, max_size=9)
    )
)
@settings(max_examples=80, deadline=None)
def test_the_hypervolume_is_optunas(points: list[tuple[float, ...]]) -> None:
    losses_nm = np.array(points)
    for reference_m in (reference_point(losses_nm), np.full(losses_nm.shape[1], 2.0)):
        expected = compute_hypervolume(losses_nm, reference_m)
        assert hypervolume(losses_nm, reference_m) == pytest.approx(expected)


def test_two_steps_have_the_area_of_their_rectangles() -> None:
    # 3·1 for the first trial, 1·1 more for the second; the third is dominated
    losses_nm = np.array([[1.0, 3.0], [3.0, 2.0], [3.5, 3.5]])
    assert hypervolume(losses_nm, np.array([4.0, 4.0])) == 4.0


def test_a_simplex_of_three_objectives_has_its_closed_form() -> None:
    # the trials are the points i + j + l = k - 1; only cells with i + j + l < k - 1 are undominated
    k = 4
    losses_nm = np.array(
        [[i, j, k - 1 - i - j] for i in range(k) for j in range(k - i)], dtype=float
    )
    dominated = k**3 - (k - 1) * k * (k + 1) / 6
    assert hypervolume(losses_nm, np.full(3, float(k))) == dominated


def test_one_objective_gives_the_distance_of_the_best_trial() -> None:
    losses_nm = np.array([[-0.8], [-0.9], [-0.2]])
    assert hypervolume(losses_nm, reference_point(losses_nm)) == pytest.approx(0.7)


def test_the_reference_point_is_the_worst_of_each_objective() -> None:
    assert reference_point(np.array([[1.0, 5.0], [2.0, 4.0]])).tolist() == [2.0, 5.0]
    with pytest.raises(ValueError, match="at least one"):
        reference_point(np.empty((0, 2)))


def test_no_trial_or_none_better_than_the_reference_has_no_volume() -> None:
    assert hypervolume(np.empty((0, 2)), np.ones(2)) == 0.0
    assert hypervolume(np.array([[1.0, 0.0]]), np.ones(2)) == 0.0
