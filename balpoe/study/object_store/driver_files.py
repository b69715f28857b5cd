"""What the driver of a study on an object store writes, and when it is put there.

There is one driver, which has a working copy of its own: nobody else writes these files, nor
brings anything to that copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from balpoe.study.object_store.working_copy import bring_study, put, remote_of
from balpoe.study.trials.directory import StudyDirectory, TrialDirectory
from balpoe.study.trials.events import StateChange, StudyEvent

_STATE = TrialDirectory(Path()).state.name


class DriverFiles:
    """The driver's files of the study in `directory`, as the store has them; elsewhere no-one's.

    Its methods raise `StorageError` where the store cannot be reached.
    """

    def __init__(self, directory: StudyDirectory) -> None:
        self._directory = directory
        self._is_remote = remote_of(directory) is not None
        bring_study(directory)
        self._known = dict(self._present())

    def put(self) -> None:
        """Put what the driver has written since."""
        present = dict(self._present())
        changed = (path for path, content in present.items() if self._known.get(path) != content)
        put(self._directory, *changed)
        self._known = present

    def follow(self, event: StudyEvent) -> None:
        """Put it before a trial begins, and when it has ended."""
        if isinstance(event, StateChange):
            self.put()

    def _present(self) -> Iterator[tuple[Path, bytes]]:
        directory = self._directory
        if not self._is_remote:
            return
        single = (directory.specification, directory.storage, directory.tracking_uri)
        states = (directory.path / "trials").glob(f"*/repeat_*/{_STATE}")
        for path in (*single, directory.memory, *directory.launches.glob("*.json"), *states):
            if path.is_file():
                yield path, path.read_bytes()
