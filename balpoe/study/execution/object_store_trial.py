"""Run a trial of a study on an object store in a temporary directory of the worker.

The attempt starts from the files that the store has of the trial. Changed files are uploaded before
an epoch is reported, and at the end: checkpoints and curves, then the result that vouches for them;
then dropped files are deleted. So the store has all that was reported, also if the worker dies.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from balpoe.study.execution.trial import Course, RunTrial, TrialTask
from balpoe.study.object_store.remote_directory import RemoteDirectory
from balpoe.study.object_store.study_files import study_files
from balpoe.study.object_store.synchronization import (
    FileChanges,
    download_directory,
    replaced_file_state,
    whole_files,
)
from balpoe.study.trials.attempt_check import SupersededError
from balpoe.study.trials.directory import StudyDirectory, TrialDirectory

_STUDY = StudyDirectory(Path())


def with_uploads(run: RunTrial, directory: StudyDirectory) -> RunTrial:
    """Return `run`, with uploads if the study in `directory` is on an object store."""
    remote = study_files(directory).remote
    return run if remote is None else _RemoteTrial(run, remote)


@dataclass(frozen=True, slots=True)
class _RemoteTrial:
    """Runs the trials of the study at `study`."""

    run: RunTrial
    study: RemoteDirectory

    def __call__(self, task: TrialTask) -> Course:
        """Run a trial in a temporary directory and upload what it writes.

        Raises:
            StorageError: the store cannot be reached.
            SupersededError: a later attempt at the trial has begun.
        """
        remote = self.study.below(_STUDY.trial(task.identity).path.as_posix())
        with tempfile.TemporaryDirectory(prefix="balpoe-") as scratch:
            files = TrialDirectory(Path(scratch))
            upload = _Upload(remote, files, task.identity.attempt)
            course = self.run(replace(task, directory=files))
            return (yield from _uploaded_before_reported(course, upload))


def _uploaded_before_reported(course: Course, upload: Callable[[], None]) -> Course:
    """Yield the epochs of `course`; upload what it wrote before each one and at the end."""
    try:
        while True:
            try:
                epoch = next(course)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # typeshed's
            upload()
            yield epoch
    finally:
        course.close()
        upload()


class _Upload:
    """Uploads what an attempt at a trial changes in `files`, which are first downloaded.

    Raises:
        StorageError: the store cannot be reached.
        SupersededError: a later attempt at the trial has begun.
    """

    def __init__(self, remote: RemoteDirectory, files: TrialDirectory, attempt: int) -> None:
        self._remote, self._files, self._attempt = remote, files, attempt
        self._require_newest()
        remote.write(files.attempt.name, f"{attempt}\n".encode())
        download_directory(remote, files.path)
        self._changes = FileChanges(self._uploaded_files, replaced_file_state)

    def __call__(self) -> None:
        """Upload the changed files, the result last, then delete those that are gone.

        A worker may freeze between any two objects, so the attempt is checked before each one.
        """
        with self._changes.pending() as (changed, deleted):
            for path in sorted(changed, key=lambda path: (path == self._files.result, str(path))):
                self._require_newest()
                self._remote.write(self._name(path), path.read_bytes())
            for path in deleted:
                self._require_newest()
                self._remote.delete(self._name(path))

    def _require_newest(self) -> None:
        newest = self._remote.read(self._files.attempt.name)
        if newest is not None and int(newest) > self._attempt:
            raise SupersededError(
                f"{self._remote.url}: attempt {self._attempt} was superseded by a later one"
            )

    def _uploaded_files(self) -> Iterator[Path]:
        # without the number of the attempt, which is only uploaded at the beginning
        return (path for path in whole_files(self._files.path) if path != self._files.attempt)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._files.path).as_posix()
