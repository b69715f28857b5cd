"""A study on an object store, as this host has it: a copy that follows what is there.

The store has the truth. Whoever reads brings what changed there; whoever writes puts every file
whole, one that vouches for others after them. Where a study is kept in its directory itself,
nothing here does anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from balpoe.file_lock import held_lock
from balpoe.study.object_store.remote_directory import RemoteDirectory, RemoteObject
from balpoe.study.trials.directory import StudyDirectory, TrialDirectory
from balpoe.study.trials.record import TrialIdentity

REMOTE_FILE = ".remote"
"""Beside the studies of a working copy: the object store that it is a copy of."""

SETTLED_SECONDS = 60
"""An object that old is known again by its size and time; more than the clocks may differ."""

_LOCK_FILE = ".lock"
_AT_A_TIME = 8
_STUDY, _FILES = StudyDirectory(Path()), TrialDirectory(Path())
CHECKPOINTS, PREDICTIONS = _FILES.checkpoints.name, _FILES.predictions.name


def remote_runs(runs: Path) -> RemoteDirectory | None:
    """Where the studies are kept of which `runs` has copies; None where it has the studies."""
    file = runs / REMOTE_FILE
    return RemoteDirectory(file.read_text().strip()) if file.is_file() else None


def remote_of(directory: StudyDirectory) -> RemoteDirectory | None:
    """Where the study in `directory` is kept; None where that is the directory itself."""
    remote = remote_runs(directory.path.parent)
    return None if remote is None else remote.below(directory.path.name)


def studies_in(runs: RemoteDirectory) -> tuple[str, ...]:
    """The names of all studies on an object store.

    Raises:
        StorageError: the store cannot be read.
    """
    found = ((name, runs.below(name)) for name in runs.directories())
    return tuple(name for name, study in found if study.read(_STUDY.specification.name) is not None)


def bring_study(directory: StudyDirectory, *, without: Collection[str] = (CHECKPOINTS,)) -> None:
    """Make the copy what the store has, but for files or directories of the names `without`.

    Raises:
        StorageError: the store cannot be read.
    """
    _bring(directory, "", without)


def bring_trial(directory: StudyDirectory, identity: TrialIdentity) -> None:
    """Make the copy of one repeat of a trial what the store has, but for its checkpoints.

    Raises:
        StorageError: the store cannot be read.
    """
    _bring(directory, trial_name(identity), (CHECKPOINTS,))


def put(directory: StudyDirectory, *paths: Path) -> None:
    """Put files of the copy, in this order.

    Raises:
        StorageError: the store cannot be written.
    """
    remote = remote_of(directory)
    if remote is not None:
        for path in paths:
            remote.write(path.relative_to(directory.path).as_posix(), path.read_bytes())


def delete(directory: StudyDirectory, paths: Iterable[Path]) -> None:
    """Delete files of a study, whether the copy has them or not.

    Raises:
        OSError: one cannot be deleted here.
        StorageError: the store cannot be written.
    """
    remote = remote_of(directory)
    for path in paths:
        if remote is not None:
            remote.delete(path.relative_to(directory.path).as_posix())
        path.unlink(missing_ok=True)


def file_sizes(directory: StudyDirectory) -> dict[Path, int]:
    """The sizes in bytes of all files of a study, whether the copy has them or not.

    Raises:
        StorageError: the store cannot be read.
    """
    remote = remote_of(directory)
    if remote is None:
        return {path: path.stat().st_size for path in present(directory.path)}
    return {directory.path / name: found.size for name, found in remote.objects().items()}


@contextmanager
def undisturbed(directory: StudyDirectory) -> Iterator[None]:
    """Within the block no other process brings anything to the copy: files are still to be put."""
    if remote_of(directory) is None:
        yield
        return
    with held_lock(directory.path.parent / _LOCK_FILE):
        yield


def trial_name(identity: TrialIdentity) -> str:
    """The name of a trial's directory in that of its study."""
    return _STUDY.trial(identity).path.as_posix()


def mirror(remote: RemoteDirectory, local: Path, *, without: Collection[str] = ()) -> None:
    """Make the files below `local` the objects of `remote`, but for those below names `without`.

    Raises:
        StorageError: the store cannot be read, or a file cannot be written.
    """
    is_complete = False
    while not is_complete:
        there = {
            local / name: found
            for name, found in remote.objects().items()
            if _is_wanted(Path(name), without)
        }
        for path in present(local):
            if path not in there and _is_wanted(path.relative_to(local), without):
                path.unlink(missing_ok=True)
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            # what is replaced by another object meanwhile is listed again
            is_complete = all(pool.map(partial(_follow, remote, local), there, there.values()))


def present(directory: Path) -> Iterator[Path]:
    """The files below `directory` that are whole."""
    for path in directory.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            yield path


def _is_wanted(name: Path, without: Collection[str]) -> bool:
    return set(without).isdisjoint(name.parts) and not name.name.startswith(".")


def _bring(directory: StudyDirectory, name: str, without: Collection[str]) -> None:
    remote = remote_of(directory)
    if remote is not None:
        with undisturbed(directory):
            mirror(remote.below(name) if name else remote, directory.path / name, without=without)


def _follow(remote: RemoteDirectory, local: Path, path: Path, found: RemoteObject) -> bool:
    """Bring one object, unless it is here already; False where it is gone."""
    if path.is_file():
        here = path.stat()
        if (here.st_size, here.st_mtime_ns) == (found.size, found.mtime_ns):
            return True
    if not remote.bring(path.relative_to(local).as_posix(), path):
        return False
    # stores tell seconds: what is younger may still change without a change of its time
    if time.time_ns() - found.mtime_ns > SETTLED_SECONDS * 10**9:
        os.utime(path, ns=(found.mtime_ns, found.mtime_ns))
    return True
