from __future__ import annotations

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from optuna.samplers.nsgaii._constraints_evaluation import _constrained_dominates

from balpoe.study.search import halving
from balpoe.study.search.halving import spread_order
from balpoe.study.selection.front import non_dominated

Losses = NDArray[np.float64]
REDUCTION = 3


def few_values(objectives: int) -> st.SearchStrategy[Losses]:
    """Up to twelve trials whose losses are often equal."""
    shape = st.tuples(st.integers(1, 12), st.just(objectives))
    return shape.flatmap(lambda s: arrays(np.float64, s, elements=st.integers(0, 4)))


def is_promoted(loss_m: Losses, loss_nm: Losses, reduction: int) -> bool:
    """Without constraints."""
    return halving.is_promoted(loss_m, 0.0, loss_nm, np.zeros(len(loss_nm)), reduction)


def with_violations(objectives: int) -> st.SearchStrategy[tuple[Losses, Losses]]:
    """Trials, half of which or so break constraints."""
    levels = st.sampled_from([0.0, 0.0, 0.5, 1.0])
    return few_values(objectives).flatmap(
        lambda loss_nm: st.tuples(
            st.just(loss_nm), arrays(np.float64, len(loss_nm), elements=levels)
        )
    )


def rank_by_definition(loss_nm: Losses) -> list[int]:
    """Of every trial the length of the longest chain of trials, each dominated by the next."""

    def dominators(one: Losses) -> list[Losses]:
        return [two for two in loss_nm if (two <= one).all() and (two < one).any()]

    def rank(one: Losses) -> int:
        return 1 + max(map(rank, dominators(one)), default=-1)

    return [rank(one) for one in loss_nm]


@given(few_values(objectives=1), st.integers(2, 5))
def test_one_objective_is_asha(loss_nm: Losses, reduction: int) -> None:
    """A trial goes on if fewer than N/η, and never fewer than none, are better than it."""
    for loss_m in loss_nm:
        better = int((loss_nm < loss_m).sum())
        assert is_promoted(loss_m, loss_nm, reduction) == (
            better < max(1, len(loss_nm) // reduction)
        )


@pytest.mark.parametrize("reduction", [2, 3, 4])
def test_one_objective_stops_whom_optunas_pruner_stops(reduction: int) -> None:
    curves = np.random.default_rng(reduction).integers(0, 30, (60, 9))
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=reduction)
    study = optuna.create_study(direction="minimize", pruner=pruner)
    rungs: dict[int, list[float]] = {reduction**k: [] for k in range(4) if reduction**k <= 9}
    decisions = []
    for curve in curves:
        trial = study.ask()
        for epoch, loss in enumerate(curve.tolist(), start=1):
            trial.report(loss, epoch)
            ours = True
            if epoch in rungs:
                rungs[epoch].append(loss)
                ours = is_promoted(np.array([loss]), np.array(rungs[epoch])[:, None], reduction)
            assert trial.should_prune() == (not ours)
            decisions.append(ours)
            if not ours:
                break
    assert {True, False} == set(decisions)


@given(few_values(objectives=3))
def test_fronts_are_those_of_the_definition(loss_nm: Losses) -> None:
    points = np.unique(loss_nm, axis=0)
    ranks = np.array(rank_by_definition(points))
    front = 0
    while len(points):
        on_front = non_dominated(points)
        assert (on_front == (ranks == front)).all()
        points, ranks, front = points[~on_front], ranks[~on_front], front + 1


@given(few_values(objectives=2), st.integers(2, 4))
def test_a_lower_front_goes_on_before_a_higher_one(loss_nm: Losses, reduction: int) -> None:
    ranks = np.array(rank_by_definition(loss_nm))
    go_on = np.array([is_promoted(loss_m, loss_nm, reduction) for loss_m in loss_nm])
    for rank, goes in zip(ranks, go_on, strict=True):
        ahead, level = int((ranks < rank).sum()), int((ranks == rank).sum())
        kept = max(1, len(loss_nm) // reduction)
        assert not goes if ahead >= kept else goes or ahead + level > kept


@given(few_values(objectives=2))
def test_a_trial_that_dominates_all_is_never_stopped(loss_nm: Losses) -> None:
    best = loss_nm.min(axis=0) - 1
    assert is_promoted(best, np.vstack([loss_nm, best]), REDUCTION)


@given(few_values(objectives=2), st.data())
def test_who_goes_on_does_not_depend_on_the_order_of_the_others(
    loss_nm: Losses, data: st.DataObject
) -> None:
    shuffled = loss_nm[data.draw(st.permutations(range(len(loss_nm))))]
    for loss_m in loss_nm:
        assert is_promoted(loss_m, loss_nm, REDUCTION) == is_promoted(loss_m, shuffled, REDUCTION)


@given(few_values(objectives=2), st.integers(0, 5), st.integers(-3, 3))
def test_who_goes_on_does_not_depend_on_units(loss_nm: Losses, power: int, shift: int) -> None:
    in_other_units = loss_nm * [2.0**power, 1.0] + [0.0, shift]
    for loss_m, other_m in zip(loss_nm, in_other_units, strict=True):
        assert is_promoted(loss_m, loss_nm, 2) == is_promoted(other_m, in_other_units, 2)


def test_equal_trials_go_on_together() -> None:
    equal = np.zeros((7, 2))
    assert is_promoted(equal[0], equal, REDUCTION)


def test_of_a_front_the_ends_come_first_and_then_the_widest_gap() -> None:
    front = np.array([[0, 10], [1, 9], [3, 7], [5, 5], [10, 0]], float)
    assert spread_order(front) == [0, 4, 3, 2, 1]


def test_two_of_six_incomparable_trials_go_on_and_they_are_the_ends() -> None:
    front = np.array([[0, 5], [1, 4], [2, 3], [3, 2], [4, 1], [5, 0]], float)
    assert [is_promoted(loss_m, front, REDUCTION) for loss_m in front] == [
        True, False, False, False, False, True,
    ]  # fmt: skip


@given(with_violations(objectives=2), st.integers(2, 4))
def test_who_breaks_constraints_goes_on_only_where_nobody_who_breaks_them_less_is_stopped(
    trials: tuple[Losses, Losses], reduction: int
) -> None:
    loss_nm, violation_n = trials
    go_on = np.array(
        [
            halving.is_promoted(loss_m, violation, loss_nm, violation_n, reduction)
            for loss_m, violation in zip(loss_nm, violation_n, strict=True)
        ]
    )
    assert violation_n[go_on].max() <= violation_n[~go_on].min(initial=np.inf)
    assert go_on[violation_n == violation_n.min()].any()


@given(with_violations(objectives=2), st.integers(2, 4))
def test_trials_that_break_constraints_are_ranked_as_by_optuna(
    trials: tuple[Losses, Losses], reduction: int
) -> None:
    """Whoever dominates a trial under constraints goes on if that trial does."""
    loss_nm, violation_n = trials
    frozen = [
        optuna.trial.create_trial(
            values=loss_m.tolist(), system_attrs={"constraints:all": float(violation)}
        )
        for loss_m, violation in zip(loss_nm, violation_n, strict=True)
    ]
    go_on = [
        halving.is_promoted(loss_m, violation, loss_nm, violation_n, reduction)
        for loss_m, violation in zip(loss_nm, violation_n, strict=True)
    ]
    directions = [optuna.study.StudyDirection.MINIMIZE] * 2
    for one, one_goes in zip(frozen, go_on, strict=True):
        for other, other_goes in zip(frozen, go_on, strict=True):
            if _constrained_dominates(one, other, directions):
                assert one_goes or not other_goes


@given(few_values(objectives=2), st.integers(2, 4))
def test_trials_that_break_constraints_alike_are_ranked_by_their_objectives(
    loss_nm: Losses, reduction: int
) -> None:
    violation_n = np.full(len(loss_nm), 0.7)
    for loss_m in loss_nm:
        alike = halving.is_promoted(loss_m, 0.7, loss_nm, violation_n, reduction)
        assert alike == is_promoted(loss_m, loss_nm, reduction)


def test_a_feasible_trial_goes_on_before_a_better_one_that_breaks_a_constraint() -> None:
    loss_nm, violation_n = np.array([[0.0], [1.0]]), np.array([0.1, 0.0])
    assert not halving.is_promoted(loss_nm[0], 0.1, loss_nm, violation_n, 2)
    assert halving.is_promoted(loss_nm[1], 0.0, loss_nm, violation_n, 2)
