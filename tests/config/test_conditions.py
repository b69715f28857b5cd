from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balpoe.config import (
    BudgetConfig,
    CategoricalParameter,
    Choice,
    Condition,
    Configuration,
    FloatParameter,
    IntParameter,
    Parameter,
    StudySpec,
    TrainingConfig,
)
from balpoe.config.assignment import assigned, conditional_parameters, suggestion_order, witness
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import InvalidFields
from balpoe.study.search.samplers.grid import grid_points

BASE = Configuration(data=DigitsLT())
COUNT = IntParameter(low=1, high=3)
SCHEDULE = CategoricalParameter(choices=("multistep", "cosine"))


def problems(search: dict[str, Parameter]) -> list[str]:
    with pytest.raises(InvalidFields) as caught:
        StudySpec(
            name="s",
            base=BASE,
            search=search,
            objectives={"val/accuracy": "maximize"},
            budget=BudgetConfig(trials=1),
        )
    return [line.removeprefix("StudySpec.search.") for line in str(caught.value).splitlines()]


def alpha(**when: Condition) -> FloatParameter:
    """Mixup's α under a condition on the schedule or on the number of experts."""
    paths = {"schedule": "training.schedule", "count": "experts.count"}
    return FloatParameter(low=0, high=1, when={paths[name]: when[name] for name in when})


def count(**when: Condition) -> IntParameter:
    """The number of experts under a condition on itself or on their spread."""
    return IntParameter(low=1, high=3, when={f"experts.{name}": when[name] for name in when})


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(-9, 9))
def test_a_condition_on_a_number_holds_between_its_bounds(low: int, high: int, value: int) -> None:
    at_least, at_most = min(low, high), max(low, high)
    condition = Condition(at_least=at_least, at_most=at_most)
    assert condition.holds(value) == (at_least <= value <= at_most)
    assert Condition(one_of=(low, high)).holds(value) == (value in {low, high})
    assert not condition.holds("text")


def test_a_condition_must_say_something_that_can_be_true() -> None:
    with pytest.raises(InvalidFields, match="one_of: must be given, or at_least, or at_most"):
        Condition()
    with pytest.raises(InvalidFields, match="one_of: must name at least one value"):
        Condition(one_of=())
    with pytest.raises(InvalidFields, match=r"at_most: must be at least at_least \(2.0\), got 1.0"):
        Condition(at_least=2.0, at_most=1.0)


def test_a_parameter_is_decided_after_those_it_depends_on() -> None:
    search: dict[str, Parameter] = {
        "training.warmup": FloatParameter(
            low=0, high=0.1, when={"mixup.alpha": Condition(at_least=0.5)}
        ),
        "mixup.alpha": alpha(schedule=Condition(one_of=("cosine",))),
        "training.schedule": SCHEDULE,
        "experts.count": COUNT,
    }
    assert suggestion_order(search) == [
        "experts.count",
        "training.schedule",
        "mixup.alpha",
        "training.warmup",
    ]


def test_a_parameter_whose_condition_does_not_hold_is_not_decided_nor_those_that_need_it() -> None:
    search: dict[str, Parameter] = {
        "training.schedule": SCHEDULE,
        "mixup.alpha": alpha(schedule=Condition(one_of=("cosine",))),
        "training.warmup": FloatParameter(
            low=0, high=0.1, when={"mixup.alpha": Condition(at_most=1.0)}
        ),
    }
    chosen: dict[str, Choice] = {
        "training.schedule": "cosine", "mixup.alpha": 0.5, "training.warmup": 0.05,
    }  # fmt: skip
    assert assigned(search, BASE, chosen.__getitem__) == chosen
    chosen["training.schedule"] = "multistep"
    assert assigned(search, BASE, chosen.__getitem__) == {"training.schedule": "multistep"}


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (
            {"mixup.alpha": alpha(schedule=Condition(at_least=1))},
            "mixup.alpha.when.training.schedule: unknown searched field; known are experts.count",
        ),
        (
            {"experts.count": count(count=Condition(at_least=2))},
            "experts.count.when.experts.count: makes experts.count depend on itself",
        ),
        (
            {"experts.count": count(spread=Condition(at_least=1)),
             "experts.spread": FloatParameter(low=0, high=1)},
            "experts.count.when.experts.spread: makes experts.count depend on itself",
        ),
        (
            {"mixup.alpha": alpha(count=Condition(at_least=4))},
            "mixup.alpha.when.experts.count: never holds for 1 to 3",
        ),
        (
            {"mixup.alpha": alpha(count=Condition(at_least=1.2, at_most=1.8))},
            "mixup.alpha.when.experts.count: never holds for 1 to 3",
        ),
        (
            {"mixup.alpha": alpha(count=Condition(one_of=(3, 5)))},
            "mixup.alpha.when.experts.count.one_of[1]: is never proposed, got 5",
        ),
        (
            {"training.schedule": SCHEDULE, "mixup.alpha": alpha(schedule=Condition(at_least=1))},
            'mixup.alpha.when.training.schedule: never holds for "multistep" or "cosine"',
        ),
    ],
)  # fmt: skip
def test_a_condition_that_makes_no_sense_is_refused(
    search: dict[str, Parameter], message: str
) -> None:
    assert problems({"experts.count": COUNT, **search}) == [message]


def test_a_circle_of_conditions_is_refused_at_each_of_its_steps() -> None:
    found = problems(
        {
            "mixup.alpha": alpha(schedule=Condition(one_of=("cosine",))),
            "training.schedule": replace(SCHEDULE, when={"mixup.alpha": Condition(at_least=0)}),
        }
    )
    assert found == [
        "mixup.alpha.when.training.schedule: makes mixup.alpha depend on itself",
        "training.schedule.when.mixup.alpha: makes training.schedule depend on itself",
    ]


def test_values_are_judged_beside_those_that_their_condition_presupposes() -> None:
    search: dict[str, Parameter] = {
        "training.nesterov": CategoricalParameter(choices=(True, False)),
        "training.momentum": FloatParameter(
            low=0.0, high=0.9, when={"training.nesterov": Condition(one_of=(False,))}
        ),
    }
    base = replace(BASE, training=TrainingConfig(nesterov=True))
    objectives = {"val/ece": "minimize"}
    budget = BudgetConfig(trials=1)
    StudySpec(name="s", base=base, search=search, objectives=objectives, budget=budget)  # type: ignore[arg-type]  # a literal
    unconditional = {**search, "training.momentum": FloatParameter(low=0.0, high=0.9)}
    assert "nesterov needs a momentum above 0" in problems(unconditional)[0]


CHOICES = st.lists(st.integers(1, 6), min_size=1, max_size=4, unique=True)
BOUND = st.none() | st.integers(1, 6)


@given(CHOICES, st.none() | CHOICES, BOUND, BOUND)
def test_conditional_is_what_some_but_not_all_points_of_the_grid_have(
    counts: list[int], one_of: list[int] | None, at_least: int | None, at_most: int | None
) -> None:
    try:
        condition = Condition(
            one_of=tuple(one_of) if one_of else None, at_least=at_least, at_most=at_most
        )
    except InvalidFields:
        return
    several = CategoricalParameter(choices=tuple(counts))
    search: dict[str, Parameter] = {
        "experts.count": several,
        "mixup.alpha": CategoricalParameter(choices=(0.1, 0.2), when={"experts.count": condition}),
    }
    held = [condition.holds(value) for value in counts]
    assert (witness(condition, several) is None) == (not any(held))
    assert (conditional_parameters(search) == ("mixup.alpha",)) == (not all(held))
    points = list(grid_points(search, BASE))
    assert len(points) == sum(2 if holds else 1 for holds in held)


def test_a_condition_of_its_own_does_not_give_a_single_expert_a_spread() -> None:
    spread = FloatParameter(low=0, high=2, when={"experts.count": Condition(at_most=3)})
    search: dict[str, Parameter] = {"experts.spread": spread, "experts.count": COUNT}
    assert conditional_parameters(search) == ("experts.spread",)
    from_two = {**search, "experts.count": IntParameter(low=2, high=3)}
    assert conditional_parameters(from_two) == ()


def test_the_grid_has_every_combination_once_and_one_expert_without_spread_and_sharing() -> None:
    search: dict[str, Parameter] = {
        "experts.spread": CategoricalParameter(choices=(0.5, 1.0)),
        "experts.sharing": CategoricalParameter(choices=("shared", "linear")),
        "experts.count": COUNT,
    }
    points = [tuple(sorted(point.items())) for point in grid_points(search, BASE)]
    several = itertools.product((2, 3), ("shared", "linear"), (0.5, 1.0))
    expected = [
        (("experts.count", n), ("experts.sharing", s), ("experts.spread", d)) for n, s, d in several
    ]
    assert sorted(points, key=str) == sorted([(("experts.count", 1),), *expected], key=str)
