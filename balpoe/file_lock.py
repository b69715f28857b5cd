"""One process at a time, by a lock file that the kernel lets go when its holder dies."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from balpoe.atomic_write import storage_error


@contextmanager
def held_lock(path: Path) -> Iterator[None]:
    """Hold the lock file `path` for the length of the block; its present holder is waited for.

    Raises:
        StorageError: the file cannot be opened.
    """
    try:
        file = path.open("w")
    except OSError as error:
        raise storage_error(path, error) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
