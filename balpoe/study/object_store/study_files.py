"""The files of a study: in its directory, or on an object store with a copy on this host.

The object store decides. Readers refresh the copy; writers upload whole files, and a file that
vouches for others after them.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from balpoe.atomic_write import create_directory, write_text_atomically
from balpoe.file_lock import held_lock
from balpoe.study.object_store.remote_directory import RemoteDirectory
from balpoe.study.object_store.synchronization import (
    FileChanges,
    download_directory,
    whole_files,
)
from balpoe.study.trials.directory import StudyDirectory, TrialDirectory
from balpoe.study.trials.record import TrialIdentity

REMOTE_FILE = ".remote"
"""The file beside the copies of studies that names their object store."""

_LOCK_FILE = ".lock"
_STUDY, _TRIAL = StudyDirectory(Path()), TrialDirectory(Path())
CHECKPOINTS, PREDICTIONS = _TRIAL.checkpoints.name, _TRIAL.predictions.name


def study_files(directory: StudyDirectory) -> StudyFiles:
    """Return the files of the study in `directory`."""
    store = object_store_of(directory.path.parent)
    if store is None:
        return StudyFiles(directory)
    return _RemoteStudyFiles(directory, store.below(directory.path.name))


def object_store_of(runs: Path) -> RemoteDirectory | None:
    """Return the object store that has the studies of `runs`; None if `runs` has them itself."""
    file = runs / REMOTE_FILE
    return RemoteDirectory(file.read_text().strip()) if file.is_file() else None


def create_copies(runs: Path, store: RemoteDirectory) -> None:
    """Make `runs` a directory for copies of the studies in `store`.

    Raises:
        StorageError: the directory cannot be written.
    """
    if not (runs / REMOTE_FILE).is_file():
        create_directory(runs)
        write_text_atomically(runs / REMOTE_FILE, store.url + "\n")


def study_names(runs: Path) -> tuple[str, ...]:
    """Return the names of the studies in `runs`, or on the object store that has them.

    Raises:
        StorageError: the store cannot be read.
    """
    store, specification = object_store_of(runs), _STUDY.specification.name
    if store is None:
        return tuple(sorted(path.parent.name for path in runs.resolve().glob(f"*/{specification}")))
    return tuple(
        name for name in store.directories() if store.below(name).read(specification) is not None
    )


@dataclass(frozen=True)
class StudyFiles:
    """The files of a study that is kept in `directory` itself."""

    directory: StudyDirectory

    @property
    def remote(self) -> RemoteDirectory | None:
        """The study on its object store; None if it is kept in `directory`."""
        return None

    @property
    def free_bytes(self) -> int | None:
        """The free space for the study in bytes; None if it is not known."""
        path = self.directory.path
        existing = next(parent for parent in (path, *path.parents) if parent.is_dir())
        return shutil.disk_usage(existing).free

    def refresh(self, *, without: Collection[str] = (CHECKPOINTS,)) -> None:
        """Make `directory` current, except for files or directories of the names `without`.

        Raises:
            StorageError: the store cannot be read.
        """

    def refresh_trial(self, identity: TrialIdentity) -> TrialDirectory:
        """Return the directory of one repeat of a trial, current except for its checkpoints.

        Raises:
            StorageError: the store cannot be read.
        """
        return self.directory.trial(identity)

    @contextmanager
    def changing(self, place: Path) -> Iterator[None]:
        """Enter a block that changes the file or directory `place`: changes are kept at its end.

        Other processes of this host do not refresh `directory` meanwhile.

        Raises:
            StorageError: the store cannot be written.
        """
        yield

    def upload_changes(self, changes: FileChanges) -> None:
        """Upload the changed files, in their order.

        Raises:
            StorageError: the store cannot be written.
        """

    def delete(self, paths: Iterable[Path]) -> None:
        """Delete files, including those that `directory` lacks.

        Raises:
            OSError: a file cannot be deleted on this host.
            StorageError: the store cannot be written.
        """
        for path in paths:
            path.unlink(missing_ok=True)

    def sizes(self) -> dict[Path, int]:
        """Return the sizes of all files in bytes, including those that `directory` lacks.

        Raises:
            StorageError: the store cannot be read.
        """
        return {path: path.stat().st_size for path in whole_files(self.directory.path)}


@dataclass(frozen=True)
class _RemoteStudyFiles(StudyFiles):
    """The files of the study `remote`, of which `directory` is a copy."""

    store: RemoteDirectory

    @property
    def remote(self) -> RemoteDirectory:
        return self.store

    @property
    def free_bytes(self) -> None:
        return None

    def refresh(self, *, without: Collection[str] = (CHECKPOINTS,)) -> None:
        with self._lock():
            download_directory(self.store, self.directory.path, without=without)

    def refresh_trial(self, identity: TrialIdentity) -> TrialDirectory:
        trial = self.directory.trial(identity)
        with self._lock():
            store = self.store.below(self._name(trial.path))
            download_directory(store, trial.path, without=(CHECKPOINTS,))
        return trial

    @contextmanager
    def changing(self, place: Path) -> Iterator[None]:
        def files() -> Iterable[Path]:
            return sorted(whole_files(place)) if place.is_dir() else filter(Path.is_file, [place])

        with self._lock():
            changes = FileChanges(files)
            yield
            self.upload_changes(changes)

    def upload_changes(self, changes: FileChanges) -> None:
        with changes.pending() as (changed, _):
            for path in changed:
                self.store.write(self._name(path), path.read_bytes())

    def delete(self, paths: Iterable[Path]) -> None:
        with self._lock():
            for path in paths:
                self.store.delete(self._name(path))
                path.unlink(missing_ok=True)

    def sizes(self) -> dict[Path, int]:
        objects = self.store.objects().items()
        return {self.directory.path / name: found.size for name, found in objects}

    def _name(self, path: Path) -> str:
        return path.relative_to(self.directory.path).as_posix()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with held_lock(self.directory.path.parent / _LOCK_FILE):
            yield
