"""A warm start from a study with trained trials, in `check` and `run`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner

from balpoe.cli.check import check as check_command
from balpoe.errors import UserError
from balpoe.launch.check import check
from balpoe.launch.run import run


class TinyStudy(Protocol):
    file: Path
    runs: Path


def _next(study: TinyStudy, tmp_path: Path, **changes: str) -> Path:
    """Write a study like the tiny one, with a warm start from it."""
    text = study.file.read_text().replace("name: tiny", "name: next\nwarm_start: [tiny]")
    for before, after in changes.items():
        text = text.replace(before, after)
    file = tmp_path / "next.yaml"
    file.write_text(text)
    return file


def test_the_complete_trials_of_the_earlier_study_are_told(
    tiny_study: TinyStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _next(tiny_study, tmp_path)
    report = check(file, runs=tiny_study.runs)
    assert report.problems == ()
    [event] = report.warm_start
    # trial 0 is the known point `ce`, whose experts.centre is not searched
    assert (event.study, event.trials, event.outside) == ("tiny", (1,), 1)
    monkeypatch.chdir(tiny_study.runs.parent)
    shown = CliRunner().invoke(check_command, [str(file)], catch_exceptions=False).output
    assert "warm start from tiny: 1 trial (1 outside the search space)" in shown


def test_an_earlier_study_that_does_not_fit_is_a_problem_of_check_and_refused_by_run(
    tiny_study: TinyStudy, tmp_path: Path
) -> None:
    other_data = _next(tiny_study, tmp_path, digits_lt="digits_lt, imbalance_ratio: 7")
    [problem] = check(other_data, runs=tiny_study.runs).problems
    assert "data: its fingerprint is" in problem
    other_epochs = _next(tiny_study, tmp_path, epochs="accumulate: 2, epochs")
    with pytest.raises(UserError, match=r"training\.accumulate is 1 there, 2 here"):
        run(other_epochs, runs=tiny_study.runs)
    missing = _next(tiny_study, tmp_path, **{"[tiny]": "[tinny]"})
    with pytest.raises(UserError, match=r"warm_start: tinny: no such study.*there are: .*tiny"):
        run(missing, runs=tiny_study.runs)


@pytest.mark.slow
def test_a_study_that_begins_from_another_runs_to_its_end(
    tiny_study: TinyStudy, tmp_path: Path
) -> None:
    file = _next(tiny_study, tmp_path, **{"trials: 4": "trials: 5"})
    outcome = run(file, runs=tiny_study.runs)
    searched = [record for record in outcome.records if record.identity.repeat == 0]
    assert [record.state for record in searched] == ["COMPLETE"] * 5
    log = json.loads((outcome.directory.launches / "0000.json").read_text())
    assert log["warm_start"] == {"tiny": [1]}
