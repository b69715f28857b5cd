from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balpoe.config import AugmentationConfig, ExpertsConfig, ModelConfig, TrainingConfig
from balpoe.config.bounds import Bounds
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.sources.parquet import ParquetImages
from balpoe.errors import InvalidFields


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e6), st.floats(0, 1e6))
def test_bounds_admit_exactly_the_numbers_between_them(
    value: float, at_least: float, at_most: float
) -> None:
    admitted = Bounds(at_least=at_least, at_most=at_most).problem(value) is None
    assert admitted == (at_least <= value <= at_most)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_bounds_admit_a_number_that_is_not_finite(value: float) -> None:
    assert Bounds().problem(value) == f"must be a finite number, got {value}"


def test_an_integer_too_large_for_a_float_is_still_compared() -> None:
    assert Bounds(at_least=1).problem(10**400) is None
    assert "must be at most 5" in str(Bounds(at_most=5).problem(10**400))


def test_above_excludes_its_limit() -> None:
    assert Bounds(above=0).problem(0) == "must be above 0, got 0"
    assert Bounds(above=0).problem(1e-300) is None


def test_construction_names_every_field_that_cannot_stand() -> None:
    with pytest.raises(InvalidFields) as caught:
        TrainingConfig(epochs=0, learning_rate=-0.1, milestones=(0.5, 1.5))
    assert str(caught.value).splitlines() == [
        "TrainingConfig.epochs: must be at least 1, got 0",
        "TrainingConfig.learning_rate: must be above 0, got -0.1",
        "TrainingConfig.milestones[1]: must be at most 1, got 1.5",
    ]


def test_an_absent_optional_number_obeys_every_bound() -> None:
    assert ParquetImages(train="a", test="b", head_count=None).head_count is None
    with pytest.raises(InvalidFields, match="head_count: must be at least 1, got 0"):
        ParquetImages(train="a", test="b", head_count=0)


@pytest.mark.parametrize(
    "backbone",
    ["resnet8", "resnet50", "resnet32_narrow", "resnet14_bbn", "imagenet_resnet10_narrow"],
)
def test_a_backbone_of_either_family_is_taken(backbone: str) -> None:
    assert ModelConfig(backbone=backbone).backbone == backbone


@pytest.mark.parametrize(
    "backbone", ["resnet", "resnet2", "resnet9", "resnet-8", "resnet08.", "32", "resnet³", "vgg8"]
)
def test_a_backbone_outside_the_family_is_refused(backbone: str) -> None:
    expected = "must be resnet8, resnet14, resnet20, resnet32 or another depth 6n"
    with pytest.raises(InvalidFields, match=expected):
        ModelConfig(backbone=backbone)


def test_fields_are_checked_against_one_another() -> None:
    with pytest.raises(InvalidFields, match=r"lambdas: must be as many as count \(3\), got 2"):
        ExpertsConfig(count=3, lambdas=(1.0, 0.0))
    with pytest.raises(InvalidFields, match=r"milestones: must ascend, got \[0.9, 0.8\]"):
        TrainingConfig(milestones=(0.9, 0.8))
    with pytest.raises(InvalidFields, match="nesterov: needs a momentum above 0"):
        TrainingConfig(momentum=0.0)
    with pytest.raises(InvalidFields, match=r"accumulate: must be at most batch_size \(4\), got 5"):
        TrainingConfig(batch_size=4, accumulate=5)
    with pytest.raises(InvalidFields, match="resized_crop: does not go with crop_padding"):
        AugmentationConfig(resized_crop=224, crop_padding=4)
    with pytest.raises(InvalidFields, match=r"std: must have as many numbers as mean, got \[0.2\]"):
        ParquetImages(train="a", test="b", mean=(0.5, 0.5), std=(0.2,))


def test_a_seed_fits_every_generator_that_takes_it() -> None:
    assert DigitsLT(subset_seed=2**32 - 1).subset_seed == 2**32 - 1
    with pytest.raises(InvalidFields, match="must be at most 4294967295, got 4294967296"):
        DigitsLT(subset_seed=2**32)
