"""`balpoe status` on a study with trained trials."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest
from click.testing import CliRunner
from rich.console import Console

from balpoe.cli.status import status as status_command
from balpoe.config import BudgetConfig, StudySpec
from balpoe.errors import UserError
from balpoe.files import dump_study
from balpoe.launch.status import follow_status, status
from balpoe.reporting.study_status import status_changes, status_plain, status_report
from balpoe.study.records.record_store import RecordStore
from balpoe.study.records.running_epochs import RunningEpochsFile
from balpoe.study.records.trial_summaries import trial_summary
from balpoe.study.selection.candidates import candidates
from balpoe.study.selection.front import pareto_front
from balpoe.study.selection.race import references
from balpoe.study.storage.lease import hold_lease
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import EpochReported
from balpoe.study.trials.record import TrialIdentity
from balpoe.training.epoch import EpochResult


class TinyStudy(Protocol):
    runs: Path
    spec: StudySpec
    directory: StudyDirectory


def _plain(study: TinyStudy) -> Mapping[str, Any]:
    found = status("tiny", runs=study.runs)
    return status_plain(replace(found, driver=None))


def test_it_counts_the_trials_by_state_and_what_is_left(tiny_study: TinyStudy) -> None:
    plain = _plain(tiny_study)
    assert plain["trials"] == {"RUNNING": 1, "COMPLETE": 2, "PRUNED": 0, "FAIL": 1}
    assert plain["left"] == {"trials": 1, "wall_hours": None, "device_hours": None, "repeats": 0}


def test_the_best_of_an_objective_is_that_of_the_records(tiny_study: TinyStudy) -> None:
    records = RecordStore(tiny_study.spec, tiny_study.directory).records()
    errors = {r.identity.number: r.objectives["val/ece"] for r in records if r.objectives}
    best = _plain(tiny_study)["best"]["val/ece"]
    number = min(errors, key=errors.__getitem__)
    summary = trial_summary(tiny_study.directory, records[number])
    assert summary is not None
    floor = summary.ensemble.by_images.ece_floor
    assert best == {"value": errors[number], "trial": number, "floor": floor}
    shown = Console(record=True, width=160, file=io.StringIO())
    shown.print(status_report(status("tiny", runs=tiny_study.runs)))
    assert f"(floor {100 * floor:.1f} %), trial {number}" in shown.export_text()


def test_a_running_trial_shows_the_epochs_that_are_on_disk(tiny_study: TinyStudy) -> None:
    (running,) = _plain(tiny_study)["running"]
    assert (running["trial"], running["epoch"], running["epochs"]) == (3, 1, 2)
    assert running["started"] < running["last_epoch_ended"]


def test_while_a_driver_runs_a_trial_shows_its_newest_epoch(
    tiny_study: TinyStudy, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(tiny_study.runs, runs)
    directory = StudyDirectory.of(runs, "tiny")
    identity = TrialIdentity("tiny", 3)
    with RunningEpochsFile(directory) as file:
        file.follow(EpochReported(identity, 2, {}, EpochResult(2, time.time(), {})))
        while not directory.running_epochs.exists():
            time.sleep(0.01)
        assert status_plain(status("tiny", runs=runs))["running"][0]["epoch"] == 1, "no driver"
        with hold_lease(directory.lease):
            found = status("tiny", runs=runs)
    assert status_plain(found)["running"][0]["epoch"] == 2
    assert list(status_changes(status("tiny", runs=runs), found)) == ["trial 3: epoch 2/2"]
    assert list(status_changes(found, found)) == []
    ended = replace(found.trials[3], state="PRUNED", history=())
    pruned = replace(found, trials=(*found.trials[:3], ended))
    assert list(status_changes(found, pruned)) == ["[4/4] trial 3 pruned"]


def test_following_a_study_ends_with_its_driver(
    tiny_study: TinyStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("balpoe.launch.status._POLL_SECONDS", 0.01)
    with hold_lease(tiny_study.directory.lease):
        statuses = follow_status("tiny", runs=tiny_study.runs)
        assert next(statuses).driver is not None
        assert next(statuses).driver is not None
    assert [found.driver for found in statuses] == [None]
    runs = ["--runs", str(tiny_study.runs)]
    followed = CliRunner().invoke(status_command, ["tiny", "--follow", *runs]).output
    assert followed.startswith("trial 3: epoch 1/2\n")
    assert "not running" in followed
    as_json = CliRunner().invoke(status_command, ["tiny", "--follow", "--json", *runs]).output
    assert json.loads(as_json)["driver"] is None


def test_a_trial_is_never_from_the_future_whatever_the_clock_of_the_reader(
    tiny_study: TinyStudy,
) -> None:
    found = status("tiny", runs=tiny_study.runs)
    console = Console(record=True, width=160, file=io.StringIO())
    console.print(status_report(replace(found, driver=None, now=found.now - 18000)))
    assert "0:00 ago" in console.export_text()


def test_of_a_budget_in_hours_it_shows_what_is_left(tiny_study: TinyStudy) -> None:
    found = status("tiny", runs=tiny_study.runs)
    spec = replace(found.spec, budget=BudgetConfig(device_hours=1.0))
    trained = sum(
        (trial.ended or trial.history[-1].unix_time) - trial.started for trial in found.trials
    )
    plain = status_plain(replace(found, spec=spec, driver=None))
    assert plain["left"]["device_hours"] == pytest.approx(1.0 - trained / 3600)
    assert plain["left"]["trials"] is None


def test_it_counts_the_seeds_of_the_present_round_and_the_pairs_by_verdict(
    tiny_study: TinyStudy, tmp_path: Path
) -> None:
    shutil.copytree(tiny_study.runs, tmp_path / "runs")
    specification = StudyDirectory.of(tmp_path / "runs", "tiny").specification
    specification.write_text(dump_study(replace(tiny_study.spec, repeats=3)))
    found = status("tiny", runs=tmp_path / "runs")
    front = {trial.identity.number for trial in pareto_front(found.trials, found.spec.objectives)}
    known = {each.number for each in references(found.spec, candidates(found.trials))}
    assert found.repeats_left == 2 * len(front | known)
    pairs = {"separable": 0, "not separable": 0, "not tested": len(front) * (len(front) - 1) // 2}
    assert found.pairs == pairs


def test_it_names_the_driver_while_there_is_one(tiny_study: TinyStudy) -> None:
    assert status("tiny", runs=tiny_study.runs).driver is None
    with hold_lease(tiny_study.directory.lease):
        driver = status("tiny", runs=tiny_study.runs).driver
        assert driver is not None
        assert driver.pid == os.getpid()
    assert status("tiny", runs=tiny_study.runs).driver is None


def test_looking_at_a_study_that_has_no_trial_yet_creates_nothing(
    tiny_study: TinyStudy, tmp_path: Path
) -> None:
    directory = StudyDirectory.of(tmp_path, "tiny")
    directory.create()
    directory.specification.write_bytes(tiny_study.directory.specification.read_bytes())
    assert status("tiny", runs=tmp_path).trials == ()
    assert [path.name for path in directory.path.iterdir()] == ["study.yaml"]


def test_a_study_that_is_not_there_is_refused_with_those_that_are(tiny_study: TinyStudy) -> None:
    with pytest.raises(UserError, match=r"no such study.*there are: tiny"):
        status("tinny", runs=tiny_study.runs)


def test_the_command_shows_it_as_text_and_as_json(
    tiny_study: TinyStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_study.runs.parent)
    text = CliRunner().invoke(status_command, ["tiny"], catch_exceptions=False).output
    assert "tiny: 3 of 4 trials have ended, 1 left" in text
    assert "1 running · 2 complete · 0 pruned · 1 failed" in text
    assert "1/2" in text
    shown = json.loads(CliRunner().invoke(status_command, ["tiny", "--json"]).output)
    assert shown["trials"]["COMPLETE"] == 2
    assert shown["driver"] is None


def test_the_directory_of_studies_is_an_option_or_in_the_environment(
    tiny_study: TinyStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = str(tiny_study.runs)
    by_option = CliRunner().invoke(status_command, ["tiny", "--runs", runs], catch_exceptions=False)
    by_variable = CliRunner(env={"BALPOE_RUNS": runs}).invoke(status_command, ["tiny"])
    assert by_option.exit_code == by_variable.exit_code == 0
    assert "tiny: 3 of 4 trials have ended" in by_option.output
    with pytest.raises(UserError, match="no such study in runs"):
        CliRunner().invoke(status_command, ["tiny"], catch_exceptions=False)
