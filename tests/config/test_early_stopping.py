from __future__ import annotations

from dataclasses import replace

import pytest

from balpoe.config import (
    BudgetConfig,
    Configuration,
    Direction,
    FloatParameter,
    HalvingConfig,
    IntParameter,
    Parameter,
    StudySpec,
    TrainingConfig,
)
from balpoe.config.second_stage import SECOND_STAGES
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import InvalidFields

ALPHA = FloatParameter(low=0, high=1)


def study(
    halving: HalvingConfig,
    *,
    evaluate_every: int = 1,
    search: dict[str, Parameter] | None = None,
    objective: str = "val/accuracy",
) -> StudySpec:
    direction: Direction = "maximize"
    training = TrainingConfig(epochs=30, evaluate_every=evaluate_every)
    return StudySpec(
        name="s",
        base=Configuration(data=DigitsLT(), training=training),
        search=search or {"mixup.alpha": ALPHA},
        objectives={objective: direction},
        budget=BudgetConfig(trials=1),
        early_stopping=halving,
    )


@pytest.mark.parametrize(
    ("halving", "rungs"),
    [
        (HalvingConfig(grace_epochs=1), (1, 3, 9, 27)),
        (HalvingConfig(grace_epochs=10), (10,)),
        (HalvingConfig(grace_epochs=15, reduction=2), (15,)),
        (HalvingConfig(grace_epochs=2, reduction=4), (2, 8)),
    ],
)
def test_rungs_grow_by_the_reduction_and_end_before_the_last_epoch(
    halving: HalvingConfig, rungs: tuple[int, ...]
) -> None:
    assert study(halving).rungs == rungs


def test_rungs_lie_in_both_stages_unless_second_stages_differ() -> None:
    halving = HalvingConfig(grace_epochs=4)
    spec = study(halving)
    both = replace(spec, base=replace(spec.base, second_stage=SECOND_STAGES["crt"](epochs=10)))
    assert both.base.epochs == 40
    assert spec.rungs == (4, 12)
    assert both.rungs == (4, 12, 36)
    epochs = IntParameter(low=1, high=10)
    differing = replace(both, search={"second_stage.epochs": epochs})
    assert differing.rungs == (4, 12)
    assert differing.epochs_of({"second_stage.epochs": 3}) == 33


def test_a_study_without_early_stopping_has_no_rungs() -> None:
    spec = study(HalvingConfig(grace_epochs=1))
    plain = {name: getattr(spec, name) for name in ("name", "base", "search", "objectives")}
    assert StudySpec(**plain, budget=spec.budget).rungs == ()


@pytest.mark.parametrize(
    ("halving", "fields", "told"),
    [
        (
            HalvingConfig(grace_epochs=30),
            {},
            r"early_stopping\.grace_epochs: must be below training\.epochs \(30\), got 30",
        ),
        (
            HalvingConfig(grace_epochs=4),
            {"evaluate_every": 5},
            r"early_stopping\.grace_epochs: must be a multiple of training\.evaluate_every \(5\)",
        ),
        (
            HalvingConfig(grace_epochs=3),
            {"search": {"training.epochs": IntParameter(low=10, high=30)}},
            r"early_stopping: needs one training\.epochs for all trials: it is searched",
        ),
        (
            HalvingConfig(grace_epochs=3),
            {"objective": "val/forward_10/accuracy"},
            r"early_stopping: cannot go by val/forward_10/accuracy, which only the last epoch has",
        ),
    ],
)
def test_what_could_not_be_compared_at_a_rung_is_refused(
    halving: HalvingConfig, fields: dict[str, object], told: str
) -> None:
    with pytest.raises(InvalidFields, match=told):
        study(halving, **fields)  # type: ignore[arg-type]  # a case gives any field


def test_a_reduction_by_one_would_stop_nobody() -> None:
    with pytest.raises(InvalidFields, match="reduction: must be at least 2, got 1"):
        HalvingConfig(grace_epochs=1, reduction=1)
