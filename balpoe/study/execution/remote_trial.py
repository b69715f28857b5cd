"""A trial of a study on an object store: it runs in a local directory that is uploaded.

An attempt has a temporary directory, which begins as a copy of the store's files of the trial.
Its changes are uploaded before an epoch is reported, and at the end: checkpoints and curves
first, then the result that lists them; deletions follow. So the store has all that was reported,
even if the worker or its node is lost.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from balpoe.study.execution.trial import Course, RunTrial, TrialTask
from balpoe.study.object_store.remote_directory import RemoteDirectory
from balpoe.study.object_store.working_copy import mirror, present, remote_of, trial_name
from balpoe.study.trials.directory import StudyDirectory, TrialDirectory
from balpoe.study.trials.newest_attempt import SupersededError

FileState = tuple[int, int, int]
"""The inode, size and modification time of a file, by which a replaced file is detected."""


def with_uploads(run: RunTrial, directory: StudyDirectory) -> RunTrial:
    """Return `run`, with uploads where the study in `directory` is on an object store."""
    remote = remote_of(directory)
    return run if remote is None else _RemoteTrial(run, remote)


@dataclass(frozen=True, slots=True)
class _RemoteTrial:
    """Runs a trial by `run` and uploads it to `study`."""

    run: RunTrial
    study: RemoteDirectory

    def __call__(self, task: TrialTask) -> Course:
        """Begin or resume the trial.

        Raises:
            StorageError: the store cannot be reached.
            SupersededError: a later attempt at the trial has begun.
        """
        with tempfile.TemporaryDirectory(prefix="balpoe-") as scratch:
            files = TrialDirectory(Path(scratch))
            changes = _Changes(self.study.below(trial_name(task.identity)), files, task)
            changes.begin()
            course = self.run(replace(task, directory=files))
            return (yield from _uploaded_before_reported(course, changes.upload))


def _uploaded_before_reported(course: Course, upload: Callable[[], None]) -> Course:
    """Run `course`; call `upload` before each epoch is reported and at any end."""
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


class _Changes:
    """The changes of an attempt in its `files`, uploaded to `remote`."""

    def __init__(self, remote: RemoteDirectory, files: TrialDirectory, task: TrialTask) -> None:
        self._remote, self._files, self._attempt = remote, files, task.identity.attempt
        self._known: dict[str, FileState] = {}

    def begin(self) -> None:
        """Supersede earlier attempts, then download what they left."""
        self._require_newest()
        self._remote.write(self._files.attempt.name, f"{self._attempt}\n".encode())
        mirror(self._remote, self._files.path)
        self._known = self._present()

    def upload(self) -> None:
        """Upload changed files, the result last, then delete the objects of deleted files.

        A worker may freeze between any two objects; before each, a later attempt is looked for.
        """
        present = self._present()
        changed = [name for name, state in present.items() if self._known.get(name) != state]
        for name in sorted(changed, key=lambda name: (name == self._files.result.name, name)):
            self._require_newest()
            self._remote.write(name, (self._files.path / name).read_bytes())
        for name in self._known.keys() - present.keys():
            self._require_newest()
            self._remote.delete(name)
        self._known = present

    def _require_newest(self) -> None:
        newest = self._remote.read(self._files.attempt.name)
        if newest is not None and int(newest) > self._attempt:
            raise SupersededError(
                f"{self._remote.url}: attempt {self._attempt} was superseded by a later one"
            )

    def _present(self) -> dict[str, FileState]:
        """Return the state of all files but the attempt number, which only `begin` uploads."""
        found = {}
        for path in present(self._files.path):
            if path != self._files.attempt:
                state = path.stat()
                name = path.relative_to(self._files.path).as_posix()
                found[name] = (state.st_ino, state.st_size, state.st_mtime_ns)
        return found
