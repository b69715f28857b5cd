"""Lock files; the kernel releases the lock when its process dies."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from balpoe.atomic_write import storage_error


@contextmanager
def held_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file `path` within the block; wait until it is free.

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
