from __future__ import annotations

from dataclasses import replace

import pytest

from balpoe.config import (
    SAMPLERS,
    BudgetConfig,
    CategoricalParameter,
    Choice,
    Configuration,
    ExpertsConfig,
    FloatParameter,
    IntParameter,
    Parameter,
    StudySpec,
    with_parameters,
)
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import InvalidFields

BASE = Configuration(data=DigitsLT())
SEARCH: dict[str, Parameter] = {
    "experts.count": IntParameter(low=1, high=7),
    "experts.spread": FloatParameter(low=0, high=2),
    "experts.sharing": CategoricalParameter(choices=("shared", "independent")),
    "mixup.alpha": FloatParameter(low=0, high=1),
}
STUDY = StudySpec(
    name="s",
    base=BASE,
    search=SEARCH,
    objectives={"val/accuracy": "maximize"},
    budget=BudgetConfig(trials=1),
)


def test_by_default_the_published_methods_are_known_points() -> None:
    ce, balanced, balpoe = STUDY.points.points
    assert [ce.name, balanced.name, balpoe.name] == ["ce", "balanced_softmax", "balpoe"]
    for point, count, centre in ((ce, 1, 1.0), (balanced, 1, 0.0), (balpoe, 3, 0.0)):
        experts = with_parameters(BASE, point.parameters).experts
        assert (experts.count, experts.centre) == (count, centre)
    assert with_parameters(BASE, balpoe.parameters).experts.spread == 1.0


def test_a_point_whose_fields_are_all_searched_is_an_ordinary_trial() -> None:
    _, balanced, balpoe = STUDY.points.points
    assert balanced.outside == ()
    assert balanced.decided == {"experts.count": 1, "mixup.alpha": 0.0}
    assert balpoe.decided == balpoe.parameters


def test_a_point_with_a_field_that_is_not_searched_or_out_of_range_lies_outside() -> None:
    assert STUDY.points.points[0].outside == ("experts.centre",)
    narrow = replace(STUDY, search={**SEARCH, "mixup.alpha": FloatParameter(low=0.1, high=1)})
    assert narrow.points.points[1].outside == ("mixup.alpha",)


def test_a_searched_field_that_a_point_does_not_name_has_the_value_of_the_base() -> None:
    study = replace(
        STUDY,
        search={"mixup.alpha": SEARCH["mixup.alpha"], "experts.count": SEARCH["experts.count"]},
        known_points={"three": {"experts.count": 3}},
    )
    (point,) = study.points.points
    assert point.parameters == {"mixup.alpha": 0.0, "experts.count": 3}


def test_known_points_of_the_file_replace_the_defaults() -> None:
    assert replace(STUDY, known_points={}).points.points == ()
    mine = replace(STUDY, known_points={"mine": {"experts.count": 2}})
    assert [point.name for point in mine.points.points] == ["mine"]


def test_a_default_that_the_base_rules_out_is_left_out_with_the_reason() -> None:
    base = replace(BASE, experts=ExpertsConfig(count=2, lambdas=(1.0, -1.0)))
    study = replace(STUDY, base=base, search={"mixup.alpha": SEARCH["mixup.alpha"]})
    assert study.points.points == ()
    assert study.points.left_out["ce"] == "lambdas must be as many as count (1), got 2"


@pytest.mark.parametrize(
    ("name", "experts"),
    [
        ("lambdas", ExpertsConfig(count=3, lambdas=(0.5,) * 3)),
        ("class_lambdas", ExpertsConfig(count=3, class_lambdas=((0.5, 0.0),) * 3)),
    ],
)
def test_balpoe_is_left_out_where_the_base_lists_biases_that_would_replace_its_own(
    name: str, experts: ExpertsConfig
) -> None:
    base = replace(BASE, experts=experts)
    study = replace(STUDY, base=base, search={"mixup.alpha": SEARCH["mixup.alpha"]})
    assert study.points.points == ()
    assert f"changes nothing: experts.{name} says it all" in study.points.left_out["balpoe"]


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"experts.cont": 3}, "known_points.mine.experts.cont: unknown field; did you mean"),
        ({"experts.count": 0}, "known_points.mine.experts.count: must be at least 1, got 0"),
        ({"data.noise": 1.0}, "known_points.mine.data.noise: cannot be searched"),
        (
            {"training.momentum": 0.0},
            "known_points.mine: nesterov needs a momentum above 0: set nesterov: false",
        ),
    ],
)
def test_a_point_that_cannot_be_tried_is_refused(point: dict[str, Choice], message: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        replace(STUDY, known_points={"mine": point})
    assert str(caught.value).startswith(f"StudySpec.{message}")


def test_a_sampler_that_needs_every_parameter_cannot_go_outside() -> None:
    search = {**SEARCH, "experts.count": IntParameter(low=2, high=7)}
    gp = replace(STUDY, search=search, sampler=SAMPLERS["gp"]())
    assert [point.name for point in gp.points.points] == ["balpoe"]
    assert set(gp.points.left_out) == {"ce", "balanced_softmax"}
    with pytest.raises(InvalidFields, match=r"mine\.experts\.centre: experts\.centre lies outside"):
        replace(gp, known_points={"mine": {"experts.centre": 0.5}})
