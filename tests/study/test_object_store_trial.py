"""Trials of a study on S3, on hosts that share nothing but the store."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from balpoe.errors import StorageError
from balpoe.files import load_study
from balpoe.study.execution.object_store_trial import with_uploads
from balpoe.study.execution.trial import Course, SavingTraceback, TrialTask
from balpoe.study.object_store.remote_directory import RemoteDirectory
from balpoe.study.object_store.study_files import create_copies, study_files
from balpoe.study.trials.attempt_check import SupersededError, claim
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.record import TrialIdentity
from balpoe.training.epoch import EpochResult
from tests.launch.faults_study import faults_study

TRIAL = "runs/faults/trials/0/repeat_0/"
IDENTITY = TrialIdentity("faults", 0)


class S3Server(Protocol):
    def create_bucket(self) -> None: ...
    def delete_bucket(self) -> None: ...
    def names(self, below: str = "") -> set[str]: ...
    def objects(self, below: str = "") -> dict[str, bytes]: ...


@pytest.fixture
def directory(bucket: S3Server, tmp_path: Path) -> StudyDirectory:
    """A host's copy of the study."""
    return copy_of(tmp_path / "reader")


def copy_of(copies: Path) -> StudyDirectory:
    create_copies(copies, RemoteDirectory("s3://studies/runs"))
    return StudyDirectory.of(copies, "faults")


def noting(task: TrialTask) -> Course:
    """Three epochs, each of which leaves the newest two checkpoints and the attempt they are of."""
    files, attempt = task.directory, task.identity.attempt
    claim(files, attempt)
    files.checkpoints.mkdir(exist_ok=True)
    done = [path.read_text() for path in sorted(files.checkpoints.iterdir())][-1:]
    for epoch in range(int(done[0]) + 1 if done else 1, 4):
        (files.checkpoints / f"epoch_{epoch}.attempt_{attempt}").write_text(f"{epoch}")
        for old in sorted(files.checkpoints.iterdir())[:-2]:
            old.unlink()
        files.metrics.write_text("m" * epoch)
        yield EpochResult(epoch, 0.0, {})
    files.predictions.write_text("p")
    files.result.write_text("{}")
    return {"val/accuracy": 1.0}


def failing(task: TrialTask) -> Course:
    yield from noting(task)
    raise ValueError("no such thing")


def begun(directory: StudyDirectory, attempt: int, run: object = noting) -> Course:
    """An attempt at trial 0 by a worker that was sent what it needs, and has no copy itself."""
    file = directory.path.parent / "faults.yaml"
    file.write_text(faults_study(1))
    identity = replace(IDENTITY, attempt=attempt)
    nowhere = StudyDirectory(Path("/nowhere")).trial(identity)
    task = TrialTask(load_study(file), identity, {}, nowhere)
    sent = pickle.dumps(with_uploads(SavingTraceback(run), directory))  # type: ignore[arg-type]
    return pickle.loads(sent)(task)  # type: ignore[no-any-return]


def test_what_an_epoch_wrote_is_there_before_it_is_reported(
    bucket: S3Server, directory: StudyDirectory
) -> None:
    course = begun(directory, 0)
    reported = [(epoch.epoch, bucket.names(TRIAL)) for epoch in course]
    files = {"attempt", "metrics.parquet"}
    names = [f"checkpoints/epoch_{epoch}.attempt_0" for epoch in (1, 2, 3)]
    assert reported == [
        (1, files | {names[0]}),
        (2, files | {names[0], names[1]}),
        (3, files | {names[1], names[2]}),
    ]
    assert bucket.names(TRIAL) == reported[-1][1] | {"predictions.parquet", "result.json"}


def test_the_result_is_uploaded_after_all_that_it_vouches_for(
    bucket: S3Server, directory: StudyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded = []
    write = RemoteDirectory.write

    def noted(self: RemoteDirectory, name: str, content: bytes) -> None:
        uploaded.append(name)
        write(self, name, content)

    monkeypatch.setattr(RemoteDirectory, "write", noted)
    assert [epoch.epoch for epoch in begun(directory, 0)] == [1, 2, 3]
    assert uploaded[-2:] == ["predictions.parquet", "result.json"]
    assert "result.json" not in uploaded[:-1]


def test_an_attempt_goes_on_from_what_is_there_and_the_frozen_one_before_changes_nothing_more(
    bucket: S3Server, directory: StudyDirectory
) -> None:
    frozen = begun(directory, 0)
    next(frozen)
    later = begun(directory, 1)
    assert next(later).epoch == 2
    before = bucket.objects(TRIAL)
    assert set(before) == {
        "attempt",
        "metrics.parquet",
        "checkpoints/epoch_1.attempt_0",
        "checkpoints/epoch_2.attempt_1",
    }
    with pytest.raises(SupersededError, match="attempt 0 was superseded by a later one"):
        next(frozen)
    with pytest.raises(SupersededError):
        next(begun(directory, 0))
    assert bucket.objects(TRIAL) == before
    assert [epoch.epoch for epoch in later] == [3]
    assert before["attempt"] == b"1\n"
    assert bucket.objects(TRIAL)["result.json"] == b"{}"


def test_a_worker_that_freezes_between_two_objects_uploads_no_more_of_them(
    bucket: S3Server, directory: StudyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, later = begun(directory, 0), begun(directory, 1)
    next(frozen)
    write = RemoteDirectory.write

    def freezing(self: RemoteDirectory, name: str, content: bytes) -> None:
        write(self, name, content)
        if name == "checkpoints/epoch_2.attempt_0":
            assert next(later).epoch == 3

    monkeypatch.setattr(RemoteDirectory, "write", freezing)
    with pytest.raises(SupersededError):
        next(frozen)
    found = bucket.objects(TRIAL)
    assert (found["attempt"], found["metrics.parquet"]) == (b"1\n", b"mmm")
    assert list(later) == []
    assert "result.json" in bucket.names(TRIAL)


def test_a_stopped_attempt_leaves_all_it_did_and_nothing_on_its_host(
    bucket: S3Server,
    directory: StudyDirectory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    course = begun(directory, 0)
    next(course)
    assert list(tmp_path.glob("balpoe-*"))
    course.close()
    assert list(tmp_path.glob("balpoe-*")) == []
    assert next(begun(directory, 1)).epoch == 2


def test_the_traceback_of_a_failed_trial_is_there(
    bucket: S3Server, directory: StudyDirectory
) -> None:
    with pytest.raises(ValueError, match="no such thing"):
        list(begun(directory, 0, failing))
    assert b"ValueError: no such thing" in bucket.objects(TRIAL)["failure.txt"]


def test_a_store_that_is_lost_is_no_fault_of_the_trial(
    bucket: S3Server, directory: StudyDirectory
) -> None:
    course = begun(directory, 0)
    next(course)
    bucket.delete_bucket()
    try:
        with pytest.raises(StorageError, match=r"s3://studies/.*NO_SUCH_BUCKET.*; create it, or"):
            next(course)
    finally:
        bucket.create_bucket()


def test_whoever_reads_has_what_is_there_and_no_more(
    bucket: S3Server, directory: StudyDirectory, tmp_path: Path
) -> None:
    course = begun(directory, 0)
    next(course)
    stale = directory.path / "trials/7/repeat_0/metrics.parquet"
    stale.parent.mkdir(parents=True)
    stale.write_text("of a study that was here before")
    study_files(directory).refresh()
    files = directory.trial(IDENTITY)
    assert files.metrics.read_text() == "m"
    assert not files.checkpoints.exists()
    assert not stale.exists()
    next(course)
    study_files(directory).refresh_trial(IDENTITY)
    assert files.metrics.read_text() == "mm"


def test_what_has_settled_is_downloaded_once(
    bucket: S3Server, directory: StudyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(list(begun(directory, 0))) == 3
    monkeypatch.setattr("balpoe.study.object_store.synchronization.SETTLED_SECONDS", -1)
    study_files(directory).refresh()
    downloaded: list[str] = []

    def noted(self: RemoteDirectory, name: str, path: Path) -> bool:
        downloaded.append(name)
        return True

    monkeypatch.setattr(RemoteDirectory, "download", noted)
    study_files(directory).refresh()
    assert downloaded == []


def test_elsewhere_a_trial_is_run_as_it_is(tmp_path: Path) -> None:
    assert with_uploads(noting, StudyDirectory.of(tmp_path, "faults")) is noting
