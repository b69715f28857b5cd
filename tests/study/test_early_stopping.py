from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from balpoe.config import Choice, Constraint, HalvingConfig, StudySpec
from balpoe.study.search.pruning import EarlyStopping
from balpoe.training.epoch import EpochResult

MakeSpec = Callable[..., StudySpec]
HALVING = HalvingConfig(grace_epochs=1, reduction=2)  # rungs after epochs 1 and 2 of 3
POINT: Mapping[str, Choice] = {"experts.count": 1, "experts.centre": 1.0}


@pytest.fixture
def spec(make_spec: MakeSpec) -> StudySpec:
    return make_spec(early_stopping=HALVING, known_points={"ce": POINT})


@pytest.fixture
def stopping(spec: StudySpec) -> EarlyStopping:
    return EarlyStopping(spec, HALVING)


def metrics(accuracy: float, ece: float = 0.1) -> dict[str, float]:
    return {"val/accuracy": accuracy, "val/ece": ece}


def curve(*accuracies: float) -> list[EpochResult]:
    return [EpochResult(epoch, 0.0, metrics(a)) for epoch, a in enumerate(accuracies, start=1)]


def judged(
    stopping: EarlyStopping,
    number: int,
    epoch: int,
    found: Mapping[str, Any],
    parameters: Mapping[str, Any] | None = None,
) -> bool:
    """Whether a trial is stopped."""
    return stopping.judge(number, parameters or {"experts.spread": 0.5}, epoch, found) is not None


def test_the_first_at_a_rung_goes_on_and_a_worse_one_does_not(stopping: EarlyStopping) -> None:
    assert not judged(stopping, 0, 1, metrics(0.5))
    assert judged(stopping, 1, 1, metrics(0.4))
    assert not judged(stopping, 2, 1, metrics(0.6))


def test_between_rungs_and_at_the_end_nobody_is_judged(stopping: EarlyStopping) -> None:
    assert not judged(stopping, 0, 3, metrics(0.5))
    assert not judged(stopping, 1, 3, metrics(0.1))


def test_a_stopped_trial_is_told_with_what_it_had_reached(stopping: EarlyStopping) -> None:
    stopping.judge(0, {}, 2, metrics(0.5))
    reached = stopping.judge(1, {}, 2, metrics(0.4, ece=0.2))
    assert reached is not None
    assert (reached.epoch, reached.objectives) == (2, metrics(0.4, ece=0.2))


@pytest.mark.parametrize("wrong", [math.nan, math.inf, None])
def test_what_is_not_finite_neither_ranks_nor_stops(
    stopping: EarlyStopping, wrong: float | None
) -> None:
    assert not judged(stopping, 0, 1, {"val/accuracy": wrong, "val/ece": 0.0})
    assert not judged(stopping, 1, 1, {"val/accuracy": 1.0})
    assert not judged(stopping, 2, 1, metrics(0.1))


@pytest.fixture
def constrained(make_spec: MakeSpec) -> EarlyStopping:
    constraints = {
        "val/accuracy_few": Constraint(at_least=0.2),
        "parameters": Constraint(at_most=1000),
        "val/forward_10/accuracy": Constraint(at_least=0.9),
    }
    return EarlyStopping(make_spec(early_stopping=HALVING, constraints=constraints), HALVING)


def with_costs(accuracy: float, few: float, parameters: float = 10) -> dict[str, float]:
    return {**metrics(accuracy), "val/accuracy_few": few, "parameters": parameters}


def test_whoever_breaks_a_constraint_at_a_rung_comes_after_those_that_keep_them(
    constrained: EarlyStopping,
) -> None:
    assert not judged(constrained, 0, 1, with_costs(0.5, few=0.0)), "nobody else is there"
    assert not judged(constrained, 1, 1, with_costs(0.1, few=0.1)), "it breaks it by less"
    assert not judged(constrained, 2, 1, with_costs(0.1, few=0.2))
    assert judged(constrained, 3, 1, with_costs(0.9, few=0.2, parameters=9000))
    assert judged(constrained, 4, 1, with_costs(0.9, few=0.0))
    assert not judged(constrained, 5, 1, with_costs(0.5, few=0.2))


def test_a_constraint_that_only_the_last_epoch_can_judge_has_no_say_at_a_rung(
    constrained: EarlyStopping,
) -> None:
    broken_at_the_end = {**with_costs(0.6, few=0.2), "val/forward_10/accuracy": 0.1}
    assert not judged(constrained, 0, 1, with_costs(0.5, few=0.2))
    assert not judged(constrained, 1, 1, broken_at_the_end)


def test_a_constrained_metric_that_is_missing_neither_ranks_nor_stops(
    constrained: EarlyStopping,
) -> None:
    assert not judged(constrained, 0, 1, metrics(0.9))
    assert not judged(constrained, 1, 1, with_costs(0.1, few=math.nan))
    assert not judged(constrained, 2, 1, with_costs(0.1, few=0.2))


def test_constraints_are_judged_on_stored_curves_too(constrained: EarlyStopping) -> None:
    constrained.rebuild(0, {}, [EpochResult(1, 0.0, with_costs(0.5, few=0.2))])
    constrained.rebuild(1, {}, [EpochResult(1, 0.0, with_costs(0.9, few=0.1))])
    assert constrained.judge_unfinished(1) is not None


def test_a_known_point_is_compared_but_never_stopped(
    spec: StudySpec, stopping: EarlyStopping
) -> None:
    [known] = spec.points.points
    assert not judged(stopping, 0, 1, metrics(0.5))
    assert not judged(stopping, 1, 1, metrics(0.1), known.parameters)
    assert judged(stopping, 2, 1, metrics(0.4)), "one of three goes on"
    assert not judged(stopping, 3, 1, metrics(0.45)), "two of four do"
    stopping.rebuild(1, known.parameters, curve(0.1))
    assert stopping.judge_unfinished(1) is None


def test_trials_with_epochs_of_their_own_are_left_out(stopping: EarlyStopping) -> None:
    longer = {"training.epochs": 9}
    assert not judged(stopping, 0, 1, metrics(0.9), longer)
    assert not judged(stopping, 1, 1, metrics(0.1))


def test_rungs_are_rebuilt_from_curves(stopping: EarlyStopping) -> None:
    stopping.rebuild(0, {}, curve(0.5, 0.6, 0.7))
    stopping.rebuild(1, {}, curve(0.4))
    assert judged(stopping, 2, 1, metrics(0.45))
    assert not judged(stopping, 3, 1, metrics(0.48))
    assert judged(stopping, 3, 2, metrics(0.55))


def test_a_trial_whose_curve_ends_at_a_rung_is_judged_there_before_it_goes_on(
    stopping: EarlyStopping,
) -> None:
    stopping.rebuild(0, {}, curve(0.5, 0.6, 0.7))
    stopping.rebuild(1, {}, curve(0.9, 0.5))
    reached = stopping.judge_unfinished(1)
    assert reached is not None
    assert (reached.epoch, reached.objectives) == (2, metrics(0.5))


@pytest.mark.parametrize("accuracies", [(0.4, 0.5, 0.6), ()])
def test_a_trial_that_went_on_from_a_rung_or_never_came_to_one_is_not_judged_again(
    stopping: EarlyStopping, accuracies: tuple[float, ...]
) -> None:
    stopping.rebuild(0, {}, curve(0.5, 0.6, 0.7))
    stopping.rebuild(1, {}, curve(*accuracies))
    assert stopping.judge_unfinished(1) is None


def test_a_trial_that_comes_to_a_rung_again_has_one_place_and_is_not_judged_again(
    stopping: EarlyStopping,
) -> None:
    assert not judged(stopping, 0, 1, metrics(0.4))
    assert not judged(stopping, 1, 1, metrics(0.5))
    assert not judged(stopping, 0, 1, metrics(0.4))
    assert stopping.judge_unfinished(0) is None
    assert judged(stopping, 2, 1, metrics(0.45)), "the second of three: a third place would save it"


def test_a_known_point_with_its_own_second_stage_is_not_compared(make_spec: MakeSpec) -> None:
    point: dict[str, Choice] = {**POINT, "second_stage.name": "lws"}
    spec = make_spec(early_stopping=HALVING, known_points={"lws": point})
    stopping = EarlyStopping(spec, HALVING)
    assert spec.epochs_of(point) == spec.base.epochs + 5
    assert not judged(stopping, 0, 1, metrics(0.9), point)
    assert not judged(stopping, 1, 1, metrics(0.1))
    assert judged(stopping, 2, 1, metrics(0.05))
