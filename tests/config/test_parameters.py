from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balpoe.config import (
    Choice,
    Configuration,
    ExpertsConfig,
    canonical_parameters,
    with_parameters,
)
from balpoe.config.fields import searchable_fields
from balpoe.config.parameters import field_value
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import InvalidFields

BASE = Configuration(data=DigitsLT())


def test_parameters_replace_the_fields_they_name_and_no_other() -> None:
    changed = with_parameters(
        BASE,
        {"experts.count": 5, "mixup.alpha": 0.3, "training.augmentation.flip": True},
    )
    assert changed.experts.count == 5
    assert changed.mixup.alpha == 0.3
    assert changed.training.augmentation.flip is True
    undone = with_parameters(
        changed,
        {"experts.count": 3, "mixup.alpha": 0.0, "training.augmentation.flip": False},
    )
    assert undone == BASE


def test_no_parameters_change_nothing() -> None:
    assert with_parameters(BASE, {}) == BASE


def test_an_integer_in_a_field_for_numbers_becomes_a_float() -> None:
    alpha = with_parameters(BASE, {"mixup.alpha": 1}).mixup.alpha
    assert isinstance(alpha, float)
    assert alpha == 1.0


def test_fields_that_depend_on_each_other_change_together() -> None:
    parameters: dict[str, Choice] = {"training.momentum": 0.0, "training.nesterov": False}
    assert with_parameters(BASE, parameters).training.momentum == 0.0


def test_every_searchable_field_is_found_in_a_configuration_with_its_type() -> None:
    for path, field in searchable_fields().items():
        value = field_value(BASE, path)
        assert type(value) is field.kind, path
        assert field.problem(value) is None, path


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("experts.cont", 3, "unknown field; did you mean experts.count?"),
        ("momentum", 0.1, "unknown field; did you mean training.momentum?"),
        ("experts.count", True, "must be an integer, got true"),
        ("experts.count", 2.0, "must be an integer, got 2.0"),
        ("experts.count", 0, "must be at least 1, got 0"),
        ("mixup.alpha", "much", 'must be a number, got "much"'),
        ("training.nesterov", 1, "must be true or false, got 1"),
        ("model.backbone", 8, "must be text, got 8"),
        (
            "experts.sharing",
            "share",
            'must be shared, independent or linear, got "share"; did you mean shared?',
        ),
        (
            "data.imbalance_ratio",
            5,
            "cannot be searched: trials on different data cannot be compared",
        ),
        ("training.milestones", 0.5, "cannot be searched: it is a list"),
        ("experts.lambdas", 0.5, "cannot be searched: it is a list"),
        ("model.pretrained", "IMAGENET1K_V2", "cannot be searched: it may be left out"),
        (
            "training.augmentation.rand_augment",
            1,
            "cannot be searched as a whole: choose training.augmentation.rand_augment.operations, "
            "training.augmentation.rand_augment.magnitude, "
            "training.augmentation.rand_augment.magnitude_sd or "
            "training.augmentation.rand_augment.probability",
        ),
    ],
)
def test_a_parameter_that_no_field_can_hold_is_named(
    path: str, value: Choice, message: str
) -> None:
    with pytest.raises(InvalidFields) as caught:
        with_parameters(BASE, {path: value})
    assert str(caught.value) == f"parameters.{path}: {message}"


def test_an_unknown_field_near_no_other_is_told_all_that_exist() -> None:
    with pytest.raises(InvalidFields, match=r"unknown field; known are model\.backbone, .*alpha"):
        with_parameters(BASE, {"zzz": 1})


def test_a_value_that_the_section_cannot_hold_is_refused() -> None:
    given = Configuration(data=DigitsLT(), experts=ExpertsConfig(count=2, lambdas=(1.0, -1.0)))
    with pytest.raises(InvalidFields, match="lambdas: must be as many as count"):
        with_parameters(given, {"experts.count": 3})


PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "experts.count": st.integers(1, 7),
        "experts.spread": st.floats(0, 2),
        "experts.sharing": st.sampled_from(["shared", "independent"]),
        "mixup.alpha": st.floats(0, 1),
    },
)


@given(PARAMETERS)
def test_the_canonical_form_is_reached_in_one_step(parameters: dict[str, Choice]) -> None:
    canonical = canonical_parameters(parameters)
    assert canonical_parameters(canonical) == canonical
    with_parameters(BASE, canonical)


@given(PARAMETERS)
def test_several_experts_keep_every_parameter(parameters: dict[str, Choice]) -> None:
    several = {**parameters, "experts.count": 2}
    assert canonical_parameters(several) == several


@given(PARAMETERS)
def test_one_expert_has_no_spread_and_shares_with_nobody(parameters: dict[str, Choice]) -> None:
    canonical = canonical_parameters({**parameters, "experts.count": 1})
    assert canonical["experts.spread"] == 0.0
    assert canonical["experts.sharing"] == "shared"
    assert canonical.get("mixup.alpha") == parameters.get("mixup.alpha")
