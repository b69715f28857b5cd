"""Synchronize files of this host with objects: download a directory, detect changed files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from balpoe.study.object_store.remote_directory import RemoteDirectory, RemoteObject

SETTLED_SECONDS = 60
"""The age from which an object is identified by its size and time; exceeds any clock difference."""

_CONCURRENT_DOWNLOADS = 8


def download_directory(
    remote: RemoteDirectory, local: Path, *, without: Collection[str] = ()
) -> None:
    """Make the files below `local` those of `remote`, except those below the names `without`.

    Raises:
        StorageError: the store cannot be read, or a file cannot be written.
    """
    is_complete = False
    while not is_complete:
        there = {
            local / name: found
            for name, found in remote.objects().items()
            if _is_included(Path(name), without)
        }
        for path in whole_files(local):
            if path not in there and _is_included(path.relative_to(local), without):
                path.unlink(missing_ok=True)
        with ThreadPoolExecutor(_CONCURRENT_DOWNLOADS) as pool:
            # an object that is replaced by another one meanwhile needs a new listing
            is_complete = all(pool.map(partial(_download, remote, local), there, there.values()))


def whole_files(directory: Path) -> Iterator[Path]:
    """Yield the files below `directory`, without those that are being written."""
    for path in directory.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            yield path


class FileChanges:
    """The changes of the files that `list_files` returns, since the last upload.

    `state` identifies the content of a file.
    """

    def __init__(
        self,
        list_files: Callable[[], Iterable[Path]],
        state: Callable[[Path], object] = Path.read_bytes,
    ) -> None:
        self._list_files, self._state = list_files, state
        self._known = self._states()

    @contextmanager
    def pending(self) -> Iterator[tuple[list[Path], list[Path]]]:
        """Yield the changed and the deleted files; they stay pending if the block raises."""
        states = self._states()
        changed = [path for path, state in states.items() if self._known.get(path) != state]
        yield changed, [path for path in self._known if path not in states]
        self._known = states

    def _states(self) -> dict[Path, object]:
        return {path: self._state(path) for path in self._list_files()}


def replaced_file_state(path: Path) -> tuple[int, int, int]:
    """Return what identifies the content of a large file that is only ever replaced as a whole."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _is_included(name: Path, without: Collection[str]) -> bool:
    return set(without).isdisjoint(name.parts) and not name.name.startswith(".")


def _download(remote: RemoteDirectory, local: Path, path: Path, found: RemoteObject) -> bool:
    """Download one object unless the file is the same; return False if the object is gone."""
    if path.is_file():
        here = path.stat()
        if (here.st_size, here.st_mtime_ns) == (found.size, found.mtime_ns):
            return True
    if not remote.download(path.relative_to(local).as_posix(), path):
        return False
    # stores have times in seconds: a younger object may change again without a change of its time
    if time.time_ns() - found.mtime_ns > SETTLED_SECONDS * 10**9:
        os.utime(path, ns=(found.mtime_ns, found.mtime_ns))
    return True
