"""Combinations of searched values that are refused, against the product of all values."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balpoe.config import (
    BudgetConfig,
    CategoricalParameter,
    Condition,
    Configuration,
    ExpertsConfig,
    FloatParameter,
    IntParameter,
    Parameter,
    StudySpec,
    with_parameters,
)
from balpoe.config import combinations as checked
from balpoe.config.assignment import assigned
from balpoe.config.combinations import impossible_combinations
from balpoe.config.fields import Choice
from balpoe.config.loss import LOSSES
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import InvalidFields

BASE = Configuration(data=DigitsLT())

POOL: dict[str, Parameter] = {
    "loss.name": CategoricalParameter(
        choices=("logit_adjustment", "sade", "ride", "lade", "class_balanced")
    ),
    "experts.count": IntParameter(low=1, high=5),
    "experts.sharing": CategoricalParameter(choices=("shared", "independent")),
    "mixup.alpha": FloatParameter(low=0.0, high=1.0),
    "reweighting.beta": FloatParameter(low=0.0, high=0.999),
    "reweighting.normalisation": CategoricalParameter(choices=("batch", "images")),
    "training.accumulate": IntParameter(low=1, high=4),
    "training.batch_size": IntParameter(low=2, high=64),
    "training.class_sampling": CategoricalParameter(choices=("image", "class_balanced")),
}


def rows(search: dict[str, Parameter]) -> list[dict[str, Choice]]:
    """The parameters of a trial for every combination of extremes."""
    values = [tuple(parameter.extremes.values()) for parameter in search.values()]
    every = (dict(zip(search, each, strict=True)) for each in itertools.product(*values))
    return [assigned(search, BASE, each.__getitem__) for each in every]


def is_valid(row: dict[str, Choice]) -> bool:
    try:
        with_parameters(BASE, row)
    except InvalidFields:
        return False
    return True


def study(search: dict[str, Parameter], base: Configuration = BASE) -> StudySpec:
    return StudySpec(
        name="s",
        base=base,
        search=search,
        objectives={"val/accuracy": "maximize"},
        budget=BudgetConfig(trials=1),
    )


def problems(search: dict[str, Parameter], base: Configuration = BASE) -> list[str]:
    with pytest.raises(InvalidFields) as caught:
        study(search, base)
    return str(caught.value).splitlines()


searches = st.sets(st.sampled_from(sorted(POOL)), min_size=2, max_size=6).map(
    lambda paths: {path: POOL[path] for path in POOL if path in paths}
)


@given(search=searches)
@settings(max_examples=20)
def test_a_search_is_refused_exactly_if_some_combination_is_invalid(
    search: dict[str, Parameter],
) -> None:
    found = list(impossible_combinations(search, BASE))
    assert bool(found) == (not all(map(is_valid, rows(search))))


@given(search=searches)
@settings(max_examples=20)
def test_pairs_are_enough_for_what_two_values_decide(search: dict[str, Parameter]) -> None:
    """Reweighting by batch with accumulation takes three values."""
    search = {path: search[path] for path in search if path != "reweighting.normalisation"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checked, "_LARGEST_PRODUCT", 0)
        found = list(impossible_combinations(search, BASE))
    assert bool(found) == (not all(map(is_valid, rows(search))))


def test_a_refused_combination_names_the_condition_that_avoids_it() -> None:
    search = {path: POOL[path] for path in ("loss.name", "experts.count")}
    [problem] = problems(search)
    assert problem == (
        'StudySpec.search.experts.count: with 1 and loss.name "sade", experts.count must be 3 with '
        "the loss sade, which has a term for each, got 1: add when: {loss.name: {one_of: "
        "[logit_adjustment, lade, class_balanced]}}"
    )
    condition = Condition(one_of=("logit_adjustment", "lade", "class_balanced"))
    count = IntParameter(low=1, high=5, when={"loss.name": condition})
    assert study({**search, "experts.count": count}).search["experts.count"] == count


def test_two_ranges_that_do_not_go_together_are_to_be_narrowed() -> None:
    search = {path: POOL[path] for path in ("training.batch_size", "training.accumulate")}
    [problem] = problems(search)
    assert "with 2 and training.accumulate 4, accumulate must be at most batch_size (2)" in problem
    assert problem.endswith(": narrow one of them")


def test_class_weights_and_sampling_can_be_searched() -> None:
    search: dict[str, Parameter] = {
        "reweighting.beta": FloatParameter(low=0.9, high=0.9999),
        "reweighting.start": FloatParameter(low=0.0, high=0.9),
        "reweighting.normalisation": CategoricalParameter(choices=("batch", "images")),
        "training.class_sampling": CategoricalParameter(
            choices=("image", "class_balanced", "square_root", "progressive")
        ),
    }
    study(search)
    chosen = with_parameters(
        BASE, {"reweighting.beta": 0.99, "training.class_sampling": "square_root"}
    )
    assert chosen.reweighting.beta == 0.99
    assert chosen.training.class_sampling == "square_root"


SPREAD = FloatParameter(low=0.0, high=2.0)
NO_LAMBDA = "has no λ; use loss.name: logit_adjustment"


def test_biases_are_not_searched_where_no_loss_has_them() -> None:
    focal = replace(BASE, loss=LOSSES["focal"]())
    for path in ("experts.spread", "experts.centre"):
        [problem] = problems({path: SPREAD}, focal)
        assert problem == f"StudySpec.search.{path}: changes nothing: focal {NO_LAMBDA}"
    given = replace(focal, experts=ExpertsConfig(count=2, lambdas=(1.0, -1.0)))
    [problem] = problems({"mixup.alpha": SPREAD}, given)
    assert problem == f"StudySpec.experts.lambdas: changes nothing: focal {NO_LAMBDA}"
    by_class = replace(focal, experts=ExpertsConfig(count=2, class_lambdas=((1.0,), (-1.0,))))
    [problem] = problems({"mixup.alpha": SPREAD}, by_class)
    assert problem == f"StudySpec.experts.class_lambdas: changes nothing: focal {NO_LAMBDA}"


def test_biases_beside_a_searched_loss_need_a_condition() -> None:
    losses = CategoricalParameter(choices=("logit_adjustment", "focal", "bayias"))
    [problem] = problems({"loss.name": losses, "experts.spread": SPREAD})
    assert problem == (
        "StudySpec.search.experts.spread: changes nothing with focal or bayias: add when: "
        "{loss.name: {one_of: [logit_adjustment]}}"
    )
    when = {"loss.name": Condition(one_of=("logit_adjustment",))}
    study({"loss.name": losses, "experts.spread": replace(SPREAD, when=when)})
