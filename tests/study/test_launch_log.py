"""What launches began with, kept beside the study."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from balpoe.config import BudgetConfig, Configuration, FloatParameter, StudySpec
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import CorruptFile
from balpoe.study.trials.environment import current_environment
from balpoe.study.trials.launch_log import launch_at, log_launch, logged_launches

SPEC = StudySpec(
    name="digits",
    base=Configuration(data=DigitsLT()),
    search={"mixup.alpha": FloatParameter(low=0.0, high=1.0)},
    objectives={"val/accuracy": "maximize"},
    budget=BudgetConfig(trials=8),
)


def test_every_launch_keeps_its_settings_and_its_code(tmp_path: Path) -> None:
    directory = tmp_path / "launches"
    assert logged_launches(directory) == ()
    log_launch(directory, SPEC, number=0, started=100.0)
    larger = dataclasses.replace(SPEC, budget=BudgetConfig(trials=20))
    log_launch(directory, larger, number=1, started=200.0, study_commit="c0ffee")
    first, second = logged_launches(directory)
    assert (first.study["budget"]["trials"], second.study["budget"]["trials"]) == (8, 20)
    assert first.environment == current_environment()
    assert (first.study_commit, second.study_commit) == (None, "c0ffee")
    assert (first.number, first.started, second.number) == (0, 100.0, 1)


def test_a_moment_belongs_to_the_last_launch_begun_before_it(tmp_path: Path) -> None:
    for number, started in enumerate((100.0, 200.0)):
        log_launch(tmp_path, SPEC, number=number, started=started)
    launches = logged_launches(tmp_path)
    numbers = [
        launch and launch.number
        for launch in (launch_at(launches, moment) for moment in (99.0, 100.0, 199.0, 500.0))
    ]
    assert numbers == [None, 0, 0, 1]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    log_launch(tmp_path, SPEC, number=0, started=100.0)
    (tmp_path / "0000.json").write_text('{"format": 1, "number"')
    with pytest.raises(CorruptFile, match=r"0000\.json: damaged: .*; restore it"):
        logged_launches(tmp_path)
