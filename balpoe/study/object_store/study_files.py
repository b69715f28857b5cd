"""The files of a study: in its directory, or on an object store with a copy on this host.

The object store decides. Readers refresh the copy; writers upload whole files, and a file that
vouches for others after them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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
    return StudyFiles(directory, None if store is None else store.below(directory.path.name))


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


@dataclass(frozen=True, slots=True)
class StudyFiles:
    """The files of a study that `directory` has, or `remote` with a copy in `directory`.

    Methods raise `StorageError` if the object store cannot be read or written.
    """

    directory: StudyDirectory
    remote: RemoteDirectory | None

    @property
    def free_bytes(self) -> int | None:
        """The free space for the study in bytes; None if it is not known."""
        if self.remote is not None:
            return None
        path = self.directory.path
        existing = next(parent for parent in (path, *path.parents) if parent.is_dir())
        return shutil.disk_usage(existing).free

    def refresh(self, *, without: Collection[str] = (CHECKPOINTS,)) -> None:
        """Make `directory` current, except for files or directories of the names `without`."""
        if self.remote is not None:
            with self._lock():
                download_directory(self.remote, self.directory.path, without=without)

    def refresh_trial(self, identity: TrialIdentity) -> TrialDirectory:
        """Return the directory of one repeat of a trial, current except for its checkpoints."""
        trial = self.directory.trial(identity)
        if self.remote is not None:
            with self._lock():
                remote = self.remote.below(self._name(trial.path))
                download_directory(remote, trial.path, without=(CHECKPOINTS,))
        return trial

    def downloads(self, name: str) -> Iterator[Path]:
        """Download all files of the name `name` one after the other, and yield each."""
        for found in self.remote.objects() if self.remote is not None else ():
            path = self.directory.path / found
            if self.remote is not None and path.name == name:
                with self._lock():
                    is_there = self.remote.download(found, path)
                if is_there:
                    yield path

    @contextmanager
    def changing(self, place: Path) -> Iterator[None]:
        """Enter a block that changes the file or directory `place`; upload the changes at its end.

        Other processes of this host do not refresh `directory` meanwhile.
        """

        def files() -> Iterable[Path]:
            return sorted(whole_files(place)) if place.is_dir() else filter(Path.is_file, [place])

        with self._lock():
            changes = self.changes(files)
            yield
            self.upload(changes)

    def changes(self, list_files: Callable[[], Iterable[Path]]) -> FileChanges:
        """Return the changes of the listed files from now on, which are to be uploaded."""
        return FileChanges(list_files if self.remote is not None else tuple)

    def upload(self, changes: FileChanges) -> None:
        """Upload the changed files, in their order."""
        with changes.pending() as (changed, _):
            for path in changed:
                assert self.remote is not None
                self.remote.write(self._name(path), path.read_bytes())

    def delete(self, paths: Iterable[Path]) -> None:
        """Delete files, including those that `directory` lacks.

        Raises:
            OSError: a file cannot be deleted on this host.
        """
        with self._lock():
            for path in paths:
                if self.remote is not None:
                    self.remote.delete(self._name(path))
                path.unlink(missing_ok=True)

    def sizes(self) -> dict[Path, int]:
        """Return the sizes of all files in bytes, including those that `directory` lacks."""
        path = self.directory.path
        if self.remote is None:
            return {file: file.stat().st_size for file in whole_files(path)}
        return {path / name: found.size for name, found in self.remote.objects().items()}

    def _name(self, path: Path) -> str:
        return path.relative_to(self.directory.path).as_posix()

    def _lock(self) -> AbstractContextManager[None]:
        if self.remote is None:
            return nullcontext()
        return held_lock(self.directory.path.parent / _LOCK_FILE)
