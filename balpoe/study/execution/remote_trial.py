"""A trial of a study on an object store: worked on beside its worker, and put there as it goes.

An attempt has a directory of its own, which begins as what the store has of the trial and is
gone when the attempt ends. What changed in it is put before an epoch is reported, and at the end:
checkpoints and curves, then the result that vouches for them, and only then what was dropped
goes. So whatever becomes of a worker or of its node, the store has all that was reported.
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
"""By what a replaced file is known: its inode, its size, and when it was changed."""


def where_it_is_kept(run: RunTrial, directory: StudyDirectory) -> RunTrial:
    """`run` for the trials of the study in `directory`, be that on an object store or not."""
    remote = remote_of(directory)
    return run if remote is None else _RemoteTrial(run, remote)


@dataclass(frozen=True, slots=True)
class _RemoteTrial:
    """Runs a trial of the study at `study`."""

    run: RunTrial
    study: RemoteDirectory

    def __call__(self, task: TrialTask) -> Course:
        """As `RunTrial` says.

        Raises:
            StorageError: the store cannot be reached.
            SupersededError: a later attempt has taken the trial over.
        """
        with tempfile.TemporaryDirectory(prefix="balpoe-") as scratch:
            files = TrialDirectory(Path(scratch))
            changes = _Changes(self.study.below(trial_name(task.identity)), files, task)
            changes.begin()
            course = self.run(replace(task, directory=files))
            return (yield from _put_before_reported(course, changes.put))


def _put_before_reported(course: Course, put: Callable[[], None]) -> Course:
    """The same course; what it wrote is put before each epoch, and however it ends."""
    try:
        while True:
            try:
                epoch = next(course)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # typeshed's
            put()
            yield epoch
    finally:
        course.close()
        put()


class _Changes:
    """What an attempt at a trial changes in its `files`, to be put to `remote`."""

    def __init__(self, remote: RemoteDirectory, files: TrialDirectory, task: TrialTask) -> None:
        self._remote, self._files, self._attempt = remote, files, task.identity.attempt
        self._known: dict[str, FileState] = {}

    def begin(self) -> None:
        """Take the trial over from earlier attempts, then bring what they left."""
        self._require_newest()
        self._remote.write(self._files.attempt.name, f"{self._attempt}\n".encode())
        mirror(self._remote, self._files.path)
        self._known = self._present()

    def put(self) -> None:
        """Put what changed, the result last, and then delete what is gone.

        A worker may freeze between any two objects: before each it is made sure that no later
        attempt has begun.
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
                f"{self._remote.url}: attempt {self._attempt} was taken over by a later"
            )

    def _present(self) -> dict[str, FileState]:
        """All files but the number of the attempt: only its beginning puts that."""
        found = {}
        for path in present(self._files.path):
            if path != self._files.attempt:
                state = path.stat()
                name = path.relative_to(self._files.path).as_posix()
                found[name] = (state.st_ino, state.st_size, state.st_mtime_ns)
        return found
