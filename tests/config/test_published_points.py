"""The known points of published methods, and the sets that a study file names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from balpoe.config import (
    BudgetConfig,
    Configuration,
    FloatParameter,
    StudySpec,
    with_parameters,
)
from balpoe.config.loss import LOSSES
from balpoe.config.mixing import MIXERS
from balpoe.config.parameters import field_value
from balpoe.config.published_points import DEFAULTS, PAPERS
from balpoe.config.second_stage import SECOND_STAGES
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import ConfigurationError
from balpoe.files import load_study

BASE = Configuration(data=DigitsLT())
STUDY = StudySpec(
    name="s",
    base=BASE,
    search={"mixup.alpha": FloatParameter(low=0.0, high=1.0)},
    objectives={"val/accuracy": "maximize"},
    budget=BudgetConfig(trials=1),
    known_points={name: dict(point) for name, point in PAPERS.items()},
)
FILE = """
name: s
data: {name: digits_lt}
search: {mixup.alpha: {type: float, low: 0.0, high: 1.0}}
objectives: {val/accuracy: maximize}
budget: {trials: 40}
known_points: POINTS
"""
WITHOUT_A_FIGURE = {"label_aware_smoothing", "mixup_cutmix", "none"}
"""Entries that no table of the papers names by themselves."""


@pytest.mark.parametrize("name", PAPERS)
def test_a_published_point_can_be_tried_in_a_study_that_knows_nothing_of_it(name: str) -> None:
    (point,) = [point for point in STUDY.points.points if point.name == name]
    configuration = with_parameters(BASE, point.parameters)
    assert {path: field_value(configuration, path) for path in PAPERS[name]} == PAPERS[name]


def test_the_published_points_use_every_loss_every_mixer_and_every_second_stage() -> None:
    used = [with_parameters(BASE, point) for point in PAPERS.values()]
    losses, mixers = {each.loss.name for each in used}, {each.mixing.name for each in used}
    assert LOSSES.entries.keys() - losses <= WITHOUT_A_FIGURE
    assert MIXERS.entries.keys() - mixers <= WITHOUT_A_FIGURE
    assert SECOND_STAGES.entries.keys() == {each.second_stage.name for each in used}


def test_points_that_set_lambdas_are_left_out_where_the_loss_has_none() -> None:
    bayias = with_parameters(BASE, {"loss.name": "bayias"})
    study = replace(STUDY, base=bayias, known_points={k: dict(v) for k, v in DEFAULTS.items()})
    assert study.points.points == ()
    assert study.points.left_out.keys() == DEFAULTS.keys()
    assert "bayias has no λ" in study.points.left_out["ce"]


def test_a_point_with_mixup_is_left_out_where_nothing_is_mixed() -> None:
    unmixed = with_parameters(BASE, {"mixing.name": "none"})
    study = replace(
        STUDY,
        base=unmixed,
        search={"experts.spread": FloatParameter(low=0.0, high=1.0)},
        known_points={"balpoe": dict(DEFAULTS["balpoe"])},
    )
    assert study.points.left_out["balpoe"].endswith("none mixes nothing")


def test_a_file_can_name_the_points_of_the_papers(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(FILE.replace("POINTS", "papers"))
    assert load_study(path).known_points == PAPERS


def test_another_name_of_a_set_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(FILE.replace("POINTS", "paper"))
    with pytest.raises(ConfigurationError, match=r"study.yaml:7 known_points: must be papers"):
        load_study(path)
