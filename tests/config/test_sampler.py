from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from balpoe.config import (
    SAMPLERS,
    BudgetConfig,
    Condition,
    Configuration,
    Direction,
    FloatParameter,
    IntParameter,
    Parameter,
    StudySpec,
    objective_names,
)
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import InvalidFields

ALPHA = FloatParameter(low=0, high=1)
FROM_ONE, FROM_TWO = IntParameter(low=1, high=3), IntParameter(low=2, high=3)
SPREAD = FloatParameter(low=0, high=2)


def study(name: Any, search: Mapping[str, Parameter]) -> StudySpec:
    return StudySpec(
        name="s",
        base=Configuration(data=DigitsLT()),
        search=dict(search),
        objectives={"val/accuracy": "maximize", "val/ece": "minimize"},
        budget=BudgetConfig(trials=1),
        sampler=SAMPLERS[name](),
    )


@pytest.mark.parametrize("name", ["nsgaii", "gp"])
def test_a_sampler_that_learns_from_whole_trials_refuses_parameters_that_some_lack(
    name: str,
) -> None:
    with pytest.raises(InvalidFields, match=rf"sampler\.name: {name} cannot take experts\.spread"):
        study(name, {"experts.count": FROM_ONE, "experts.spread": SPREAD})
    conditional = replace(ALPHA, when={"experts.count": Condition(at_least=3)})
    with pytest.raises(InvalidFields, match=rf"{name} cannot take mixup\.alpha"):
        study(name, {"experts.count": FROM_TWO, "mixup.alpha": conditional})
    study(name, {"experts.count": FROM_TWO, "experts.spread": SPREAD, "mixup.alpha": ALPHA})


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_tpe_and_random_take_conditional_parameters(name: str) -> None:
    study(name, {"experts.count": FROM_ONE, "experts.spread": SPREAD, "mixup.alpha": ALPHA})


def test_a_gaussian_process_takes_four_objectives_and_names_those_beyond() -> None:
    minimized: Direction = "minimize"
    objectives = dict.fromkeys(objective_names()[:4], minimized)
    four = replace(study("gp", {"mixup.alpha": ALPHA}), objectives=objectives)
    with pytest.raises(InvalidFields, match=r"gp takes at most 4 objectives: leave out val/nll"):
        replace(four, objectives={**objectives, "val/nll": minimized})
    replace(
        four,
        sampler=SAMPLERS["nsgaii"](),
        objectives=dict.fromkeys(objective_names(), minimized),
    )


def test_a_grid_needs_parameters_with_finitely_many_values() -> None:
    with pytest.raises(InvalidFields, match=r"grid cannot take mixup\.alpha, a range of numbers"):
        study("grid", {"mixup.alpha": ALPHA, "experts.count": FROM_ONE})
    study("grid", {"experts.count": FROM_ONE})


def test_a_grid_that_no_study_could_finish_is_refused() -> None:
    search = {
        "training.batch_size": IntParameter(low=1, high=10**9),
        "training.epochs": IntParameter(low=1, high=10**9),
    }
    with pytest.raises(InvalidFields, match="grid has more than 100000 points"):
        study("grid", search)
