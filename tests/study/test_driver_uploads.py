"""What the driver of a study on S3 writes, and when others see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import pytest
from ray.tune.execution import class_cache

from balpoe.files import load_study
from balpoe.launch.runs import drivers_runs, local_runs
from balpoe.study.execution.tune_private import without_aws_keys
from balpoe.study.object_store.driver_uploads import DriverUploads
from balpoe.study.object_store.study_files import study_files
from balpoe.study.records.repeat_states import RepeatStates
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import AttemptEnded, StopRequested, TrialStarted
from balpoe.study.trials.record import TrialIdentity
from tests.launch.faults_study import faults_study

RUNS, BELOW = "s3://studies/team", "team/faults/"
REPEAT = TrialIdentity("faults", 3, repeat=1)
STATE = "trials/3/repeat_1/state.json"


class S3Server(Protocol):
    def names(self, below: str = "") -> set[str]: ...
    def objects(self, below: str = "") -> dict[str, bytes]: ...


@pytest.fixture
def driven(bucket: S3Server) -> StudyDirectory:
    """The copy of the driver on this host."""
    directory = StudyDirectory.of(drivers_runs(RUNS), "faults")
    directory.create()
    return directory


@pytest.fixture
def ledger(driven: StudyDirectory, tmp_path: Path) -> RepeatStates:
    file = tmp_path / "faults.yaml"
    file.write_text(faults_study(1))
    return RepeatStates(load_study(file), driven)


def test_it_is_there_before_a_trial_begins_and_when_one_ends(
    bucket: S3Server, driven: StudyDirectory, ledger: RepeatStates
) -> None:
    uploads = DriverUploads(driven)
    driven.specification.write_text("name: faults\n")
    ledger.resume(REPEAT, {})
    uploads.follow(StopRequested())
    assert bucket.names(BELOW) == set()
    uploads.follow(TrialStarted(REPEAT, {}))
    assert bucket.names(BELOW) == {"study.yaml", STATE}
    ledger.write_retries(REPEAT, ledger.retries(REPEAT).after_death(0))
    uploads.follow(AttemptEnded(REPEAT))
    assert json.loads(bucket.objects(BELOW)[STATE])["deaths"] == 1


def test_whoever_looks_on_the_drivers_host_takes_nothing_back(
    bucket: S3Server, driven: StudyDirectory, ledger: RepeatStates
) -> None:
    uploads = DriverUploads(driven)
    ledger.resume(REPEAT, {})
    uploads.upload()
    assert ledger.resume(REPEAT, {}).identity.attempt == 1
    seen = StudyDirectory.of(local_runs(RUNS), "faults")
    study_files(seen).refresh()
    assert json.loads(seen.trial(REPEAT).state.read_text())["attempt"] == 0
    uploads.upload()
    stored = json.loads(bucket.objects(BELOW)[STATE])
    assert stored == json.loads(driven.trial(REPEAT).state.read_text())
    assert stored["attempt"] == 1


def test_a_launch_on_another_host_begins_with_what_is_there(
    bucket: S3Server,
    driven: StudyDirectory,
    ledger: RepeatStates,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    uploads = DriverUploads(driven)
    ledger.resume(REPEAT, {})
    uploads.upload()
    ledger.resume(REPEAT, {})  # the driver dies before this is uploaded
    monkeypatch.setenv("BALPOE_CACHE", str(tmp_path / "elsewhere"))
    other = StudyDirectory.of(drivers_runs(RUNS), "faults")
    DriverUploads(other)
    assert json.loads(other.trial(REPEAT).state.read_text())["attempt"] == 0
    DriverUploads(driven)
    assert json.loads(driven.trial(REPEAT).state.read_text())["attempt"] == 0


def test_tune_sends_no_keys_while_a_study_runs() -> None:
    keys = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    sent = class_cache.ENV_VARS_TO_PROPAGATE
    assert keys <= sent
    with without_aws_keys():
        left_out = sent - class_cache.ENV_VARS_TO_PROPAGATE
    assert keys <= left_out
    assert all(name.startswith("AWS_") for name in left_out)
    assert sent is class_cache.ENV_VARS_TO_PROPAGATE
