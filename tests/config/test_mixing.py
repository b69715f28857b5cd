"""Mixers that mix nothing, and mixers that have nothing to mix."""

from __future__ import annotations

from dataclasses import replace

import pytest

from balpoe.config import (
    BudgetConfig,
    CategoricalParameter,
    Configuration,
    FloatParameter,
    MixupConfig,
    Parameter,
    StudySpec,
    TrainingConfig,
)
from balpoe.config.fields import Choice
from balpoe.config.mixing import MIXERS
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import InvalidFields

BASE = Configuration(data=DigitsLT())
STRONG = MixupConfig(alpha=1.0)
ALPHA: dict[str, Parameter] = {"mixup.alpha": FloatParameter(low=0.0, high=1.0)}
RATE: dict[str, Parameter] = {"training.learning_rate": FloatParameter(low=0.05, high=0.2)}


def study(
    mixer: str,
    search: dict[str, Parameter],
    *,
    alpha: float = 0.0,
    known_points: dict[str, dict[str, Choice]] | None = None,
) -> StudySpec:
    return StudySpec(
        name="s",
        base=replace(BASE, mixing=MIXERS[mixer](), mixup=MixupConfig(alpha=alpha)),
        search=search,
        objectives={"val/accuracy": "maximize"},
        budget=BudgetConfig(trials=1),
        known_points=known_points or {},
    )


def names(*choices: str) -> dict[str, Parameter]:
    return {"mixing.name": CategoricalParameter(choices=choices)}


IDLE = "unimix mixes nothing with mixup.alpha 0: set mixup: {alpha: 1}, search mixup.alpha, or"


def test_a_mixer_without_strength_is_refused_with_the_fix() -> None:
    with pytest.raises(InvalidFields, match=rf"mixing\.name: {IDLE} choose none"):
        study("unimix", RATE)
    for mixer, alpha in (("unimix", 1.0), ("mixup", 0.0), ("none", 0.0)):
        study(mixer, RATE, alpha=alpha)


def test_a_strength_that_is_searched_is_enough() -> None:
    study("unimix", ALPHA)
    study("mixup", {**ALPHA, **names("none", "mixup", "unimix")})


def test_mixers_that_are_searched_without_strength_are_refused() -> None:
    with pytest.raises(InvalidFields, match=rf"search\.mixing\.name: {IDLE}"):
        study("mixup", names("mixup", "unimix", "remix"))
    study("mixup", names("mixup", "unimix"), alpha=0.4)


def test_a_strength_is_not_searched_where_nothing_mixes() -> None:
    with pytest.raises(InvalidFields, match=r"mixup\.alpha: changes nothing: mixing is none"):
        study("none", ALPHA)


def test_a_known_point_names_the_strength_of_its_mixer() -> None:
    with pytest.raises(InvalidFields, match=rf"known_points\.ours\.mixing\.name: {IDLE}"):
        study("mixup", RATE, known_points={"ours": {"mixing.name": "unimix"}})
    study("mixup", RATE, known_points={"ours": {"mixing.name": "unimix", "mixup.alpha": 1.0}})


@pytest.mark.parametrize("name", list(MIXERS.entries))
def test_a_batch_of_one_is_refused_where_its_images_are_paired(name: str) -> None:
    mixer = MIXERS[name]()
    one = TrainingConfig(batch_size=1)
    replace(BASE, mixing=mixer, training=one)
    if mixer.mixes and not mixer.pairs_with_whole_set:
        with pytest.raises(InvalidFields, match=rf"batch_size: must be at least 2: {name} pairs"):
            replace(BASE, mixing=mixer, mixup=STRONG, training=one)
    else:
        replace(BASE, mixing=mixer, mixup=STRONG, training=one)
    replace(BASE, mixing=mixer, mixup=STRONG, training=replace(one, batch_size=2))


def test_activations_are_mixed_in_whole_batches_only() -> None:
    manifold = replace(BASE, mixing=MIXERS["manifold_mixup"](), mixup=STRONG)
    with pytest.raises(
        InvalidFields, match=r"accumulate: must be 1: manifold_mixup mixes .* got 2"
    ):
        replace(manifold, training=TrainingConfig(accumulate=2))
    replace(manifold, training=TrainingConfig(accumulate=2), mixup=MixupConfig())


def test_only_mixing_with_strength_mixes() -> None:
    assert not BASE.mixes
    assert replace(BASE, mixup=STRONG).mixes
    assert not replace(BASE, mixup=STRONG, mixing=MIXERS["none"]()).mixes
