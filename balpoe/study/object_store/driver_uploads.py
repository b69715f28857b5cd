"""The uploads of the driver of a study on an object store.

A study has one driver, with a copy of its own: no other process writes these files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from balpoe.study.object_store.study_files import study_files
from balpoe.study.trials.directory import StudyDirectory, TrialDirectory
from balpoe.study.trials.events import StateChange, StudyEvent

_STATE = TrialDirectory(Path()).state.name


class DriverUploads:
    """Uploads what the driver writes in `directory`, which is refreshed first.

    Without an object store nothing is uploaded. Methods raise `StorageError` if the store cannot be
    reached.
    """

    def __init__(self, directory: StudyDirectory) -> None:
        self._directory = directory
        self._files = study_files(directory)
        self._files.refresh()
        self._changes = self._files.changes(self._drivers_files)

    def upload(self) -> None:
        """Upload what the driver has changed since the last upload."""
        self._files.upload(self._changes)

    def follow(self, event: StudyEvent) -> None:
        """Upload before a trial begins, and when an attempt or a trial has ended."""
        if isinstance(event, StateChange):
            self.upload()

    def _drivers_files(self) -> Iterator[Path]:
        directory = self._directory
        single = (
            directory.specification,
            directory.storage,
            directory.tracking_uri,
            directory.validation_split,
        )
        states = (directory.path / "trials").glob(f"*/repeat_*/{_STATE}")
        found = (*single, directory.memory, *directory.launches.glob("*.json"), *states)
        return filter(Path.is_file, found)
