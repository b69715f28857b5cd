from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from balpoe.config import CategoricalParameter, Choice, Direction, FloatParameter
from balpoe.reporting.figures.study_drawings import study_drawings
from balpoe.study.search.importance import Importance
from balpoe.study.trials.record import TrialState
from tests.reporting.figures.invented_study import (
    ACCURACY,
    ECE,
    RECALL,
    invented_record,
    invented_spec,
    invented_trials,
)

OBJECTIVES: tuple[Mapping[str, Direction], ...] = (
    {ACCURACY: "maximize"},
    {ACCURACY: "maximize", ECE: "minimize"},
    {ACCURACY: "maximize", ECE: "minimize", RECALL: "maximize", "val/nll": "minimize"},
)
BOUNDS = FloatParameter(low=0.0, high=1.0)
COURSE = ["learning_curves", "timeline"]


@pytest.mark.parametrize("objectives", OBJECTIVES)
@pytest.mark.parametrize(
    ("count", "states", "expected"),
    [
        (0, ["COMPLETE"], []),
        (1, ["COMPLETE"], ["front", "parameters", *COURSE]),
        (3, ["FAIL"], [*COURSE, "failures"]),
        (3, ["PRUNED"], COURSE),
        (3, ["RUNNING"], COURSE),
        (
            9,
            ["COMPLETE", "PRUNED", "FAIL", "RUNNING"],
            [
                *("front", "parameters", "parallel_coordinates", "learning_curves", "progress"),
                *("timeline", "failures"),
            ],
        ),
    ],
)
def test_studies_of_every_shape_have_the_figures_for_which_there_are_data(
    objectives: Mapping[str, Direction],
    count: int,
    states: Sequence[TrialState],
    expected: Sequence[str],
) -> None:
    spec = invented_spec(objectives)
    drawings = study_drawings(spec, invented_trials(spec, count, states), ())
    names = [drawing.name for drawing in drawings]
    assert [name for name in names if not name.startswith(("over_", "kl_"))] == expected
    assert all(d.title and d.caption.endswith(".") and d.alternative for d in drawings)


def test_a_study_of_which_every_trial_breaks_a_constraint_shows_them() -> None:
    spec = invented_spec()
    trials = [replace(t, violations={"parameters <= 1": 1.0}) for t in invented_trials(spec, 3)]
    assert [d.name for d in study_drawings(spec, trials, ())] == ["front", *COURSE]


def test_importance_stands_after_the_parameters() -> None:
    spec = invented_spec()
    found = [Importance(ACCURACY, 9, {"experts.count": 1.0})]
    names = [d.name for d in study_drawings(spec, invented_trials(spec, 3), found)]
    assert names[:4] == ["front", "parameters", "parallel_coordinates", "importance"]


def test_a_study_of_choices_with_trials_of_equal_values_is_drawn() -> None:
    search = {"experts.count": CategoricalParameter(choices=(1, 2)), "mixup.alpha": BOUNDS}
    spec = invented_spec(search=search)
    point: dict[str, Choice] = {"experts.count": 2, "mixup.alpha": 0.5}
    trials = [invented_record(n, {ACCURACY: 0.5, ECE: 0.1}, parameters=point) for n in range(4)]
    names = [d.name for d in study_drawings(spec, trials, ())]
    assert names[:3] == ["front", "parameters", "parallel_coordinates"]


def test_five_hundred_trials_are_drawn() -> None:
    spec = invented_spec(OBJECTIVES[1])
    states: tuple[TrialState, ...] = ("COMPLETE", "COMPLETE", "PRUNED", "FAIL")
    drawings = study_drawings(spec, invented_trials(spec, 500, states), ())
    (axes,) = drawings[0].figure.axes
    assert len(axes.texts) <= 12, "only so many trials of the front are named"
