from __future__ import annotations

from dataclasses import replace

import pytest

from balpoe.config import (
    SAMPLERS,
    BudgetConfig,
    Condition,
    Configuration,
    Constraint,
    CostMatrix,
    FinalConfig,
    FloatParameter,
    HalvingConfig,
    IntParameter,
    StudySpec,
    TrainingConfig,
)
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.sources.folder import ImageFolder
from balpoe.errors import UserError
from balpoe.launch.study_file import refuse_changes

ALPHA = FloatParameter(low=0, high=1)
STUDY = StudySpec(
    name="s",
    base=Configuration(data=DigitsLT()),
    search={"mixup.alpha": ALPHA, "experts.count": IntParameter(low=1, high=3)},
    objectives={"val/accuracy": "maximize"},
    budget=BudgetConfig(trials=1),
)


def test_how_far_and_by_whom_may_change() -> None:
    now = replace(
        STUDY,
        search={**STUDY.search, "mixup.alpha": FloatParameter(low=0, high=2)},
        budget=BudgetConfig(wall_hours=2),
        sampler=SAMPLERS["random"](seed=7),
        known_points={},
        repeats=3,
        early_stopping=HalvingConfig(grace_epochs=5),
        final=FinalConfig(training={"epochs": 400}),
    )
    refuse_changes(STUDY, now, "x.yaml")


def test_the_memory_that_data_may_take_can_be_raised_but_not_another_size_chosen() -> None:
    data = ImageFolder(root="images")
    study = replace(STUDY, base=replace(STUDY.base, data=data))
    more = replace(study, base=replace(STUDY.base, data=replace(data, in_memory_limit=8)))
    refuse_changes(study, more, "x.yaml")
    without = replace(data, final_uses_validation=False)  # matters for final training only
    refuse_changes(study, replace(study, base=replace(STUDY.base, data=without)), "x.yaml")
    larger = replace(study, base=replace(STUDY.base, data=replace(data, image_size=64)))
    with pytest.raises(UserError, match=r"data\.image_size: was 32, is 64"):
        refuse_changes(study, larger, "x.yaml")


@pytest.mark.parametrize(
    ("now", "change"),
    [
        (
            replace(STUDY, base=replace(STUDY.base, training=TrainingConfig(epochs=3))),
            "training.epochs: was 200, is 3",
        ),
        (replace(STUDY, seed=1), "seed: was 0, is 1"),
        (
            replace(STUDY, constraints={"val/ece": Constraint(at_most=0.1)}),
            "constraints.val/ece: was None, is {'at_least': None, 'at_most': 0.1}",
        ),
        (
            replace(STUDY, search={"mixup.alpha": ALPHA}),
            "search.experts.count: was numeric, is None",
        ),
        (
            replace(
                STUDY,
                search={
                    **STUDY.search,
                    "mixup.alpha": replace(ALPHA, when={"experts.count": Condition(at_least=2)}),
                },
            ),
            "conditions.mixup.alpha.experts.count: was None, is",
        ),
    ],
)
def test_what_makes_trials_incomparable_is_refused_and_shown(now: StudySpec, change: str) -> None:
    with pytest.raises(UserError) as caught:
        refuse_changes(STUDY, now, "x.yaml")
    assert f"  {change}" in str(caught.value)


@pytest.mark.parametrize("before", [None, CostMatrix(classes=("a", "b"), rows=((0, 1), (1, 0)))])
def test_other_costs_are_refused_without_their_numbers(before: CostMatrix | None) -> None:
    now = CostMatrix(classes=("a", "b"), rows=((0, 7654321), (1, 0)))
    first, later = (replace(STUDY, base=replace(STUDY.base, cost=cost)) for cost in (before, now))
    with pytest.raises(UserError) as caught:
        refuse_changes(first, later, "x.yaml")
    assert "  cost: other costs than at the first launch\n" in str(caught.value)
    assert "7654321" not in str(caught.value)
