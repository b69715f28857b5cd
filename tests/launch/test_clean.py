"""`balpoe clean` on a study with trained trials."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner

from balpoe.cli.clean import clean as clean_command
from balpoe.config import StudySpec
from balpoe.errors import UserError
from balpoe.launch.clean import clean
from balpoe.launch.runs import find_study
from balpoe.study.execution.trial import TrialTask, run_trial
from balpoe.study.records.record_store import RecordStore
from balpoe.study.selection.front import ordered_front
from balpoe.study.storage.lease import hold_lease
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.launch_log import log_launch, log_request
from balpoe.study.trials.record import TrialIdentity
from balpoe.study.trials.requests import Answer, Request


class TinyStudy(Protocol):
    runs: Path
    spec: StudySpec
    directory: StudyDirectory

    def complete(self) -> None:
        """Train one more trial."""

    def repeat(self, number: int, repeats: Sequence[int]) -> None:
        """Train a trial with further seeds."""


@pytest.fixture(scope="module")
def dominated(tiny_study: TinyStudy) -> int:
    """A trial off the front, with one further seed."""
    while not (numbers := _off_the_front(tiny_study)):
        tiny_study.complete()
    tiny_study.repeat(min(numbers), [1])
    return min(numbers)


def _off_the_front(study: TinyStudy) -> set[int]:
    records = RecordStore(study.spec, study.directory).records()
    front = {record.identity.number for record in ordered_front(records, study.spec.objectives)}
    return {r.identity.number for r in records if r.state == "COMPLETE"} - front


def _files(study: TinyStudy) -> Mapping[Path, bytes]:
    files = (path for path in (study.directory.path / "trials").rglob("*") if path.is_file())
    return {path.relative_to(study.directory.path / "trials"): path.read_bytes() for path in files}


def test_without_delete_nothing_is_touched(tiny_study: TinyStudy, dominated: int) -> None:
    before = _files(tiny_study)
    report = clean("tiny", runs=tiny_study.runs)
    assert not report.deleted
    found = {(item.identity.number, item.identity.repeat) for item in report.items}
    assert found >= {(dominated, 0), (dominated, 1)}
    assert {number for number, _ in found} == _off_the_front(tiny_study)
    assert _files(tiny_study) == before


def test_a_running_study_is_refused(tiny_study: TinyStudy, dominated: int) -> None:
    before = _files(tiny_study)
    with hold_lease(tiny_study.directory.lease), pytest.raises(UserError, match="is being run by"):
        clean("tiny", delete=True, runs=tiny_study.runs)
    assert _files(tiny_study) == before


def test_only_checkpoints_and_predictions_of_ended_trials_off_the_front_go(
    tiny_study: TinyStudy, dominated: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RecordStore(tiny_study.spec, tiny_study.directory)
    files, records = _files(tiny_study), store.records()
    foreseen = clean("tiny", runs=tiny_study.runs).size_bytes
    monkeypatch.chdir(tiny_study.runs.parent)
    arguments = ["tiny", "--keep", "front", "--delete"]
    shown = CliRunner().invoke(clean_command, arguments, catch_exceptions=False)
    assert "deleted: " in shown.output
    gone = set(files) - set(_files(tiny_study))
    assert gone == {
        path
        for path in files
        if int(path.parts[0]) in _off_the_front(tiny_study)
        and ("checkpoints" in path.parts or path.name == "predictions.parquet")
    }
    assert sum(len(files[path]) for path in gone) == foreseen
    assert store.records() == records
    assert clean("tiny", runs=tiny_study.runs).items == ()


def test_a_trial_that_was_stopped_can_still_be_taken_up(tiny_study: TinyStudy) -> None:
    clean("tiny", delete=True, runs=tiny_study.runs)
    (running,) = [
        record
        for record in RecordStore(tiny_study.spec, tiny_study.directory).records()
        if record.state == "RUNNING"
    ]
    identity = TrialIdentity("tiny", running.identity.number, attempt=1)
    directory = tiny_study.directory.trial(identity)
    task = TrialTask(tiny_study.spec, identity, running.parameters, directory)
    assert [result.epoch for result in run_trial(task)] == [2]


def test_a_trial_that_a_user_stopped_keeps_its_files(tiny_study: TinyStudy, tmp_path: Path) -> None:
    copy = tmp_path / "runs"
    shutil.copytree(tiny_study.runs, copy)
    _, directory = find_study("tiny", copy)
    number = min(_off_the_front(tiny_study))
    directory.trial(TrialIdentity("tiny", number)).predictions.write_bytes(b"of a stopped trial")
    log_launch(directory.launches, tiny_study.spec, number=0, started=0.0)
    request = Request("stop trial", trial=number)
    log_request(directory.launches, 0, request, Answer(True, "it was refused"))
    assert number in {item.identity.number for item in clean("tiny", runs=copy).items}
    log_request(directory.launches, 0, request, Answer(False, "it is stopped"))
    assert number not in {item.identity.number for item in clean("tiny", runs=copy).items}


def test_an_exported_trial_keeps_its_files_off_the_front_too(
    tiny_study: TinyStudy, tmp_path: Path
) -> None:
    copy = tmp_path / "runs"
    shutil.copytree(tiny_study.runs, copy)
    _, directory = find_study("tiny", copy)
    number = min(_off_the_front(tiny_study))
    predictions = directory.trial(TrialIdentity("tiny", number)).predictions
    predictions.write_bytes(b"of an exported trial")
    directory.exports.mkdir(exist_ok=True)
    provenance = directory.exports / f"known_ce_trial_{number:04d}.provenance.json"
    assert number in {item.identity.number for item in clean("tiny", runs=copy).items}
    provenance.write_text(json.dumps({"trial": number}))
    assert number not in {item.identity.number for item in clean("tiny", runs=copy).items}
