"""Files that are there whole or not at all, whatever happens while they are written.

The content goes to a temporary name in the same directory, is forced to disk, and takes its
final name in one step. Readers see the old file or the new one, never a part.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO, TypeGuard

from balpoe.errors import StorageError

_CURES = {
    errno.ENOSPC: "free some space on the disk",
    errno.EDQUOT: "free some space in your quota",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
    errno.EACCES: "grant write permission to its directory or choose another",
    errno.EPERM: "grant write permission to its directory or choose another",
    errno.EROFS: "choose a directory on a writable file system",
    errno.ENOENT: "create its directory first",
    errno.ENOTDIR: "one of its parents is a file: remove it or choose another directory",
}


_confirm: ContextVar[Callable[[], object]] = ContextVar("confirm", default=lambda: None)


@contextmanager
def confirming(confirm: Callable[[], object]) -> Iterator[None]:
    """Within the block files take their names only when `confirm`, asked at that moment, returns.

    A process may be frozen while it writes, and wake when another has written that file.
    """
    before = _confirm.set(confirm)
    try:
        yield
    finally:
        _confirm.reset(before)


def storage_error(path: Path, error: OSError) -> StorageError:
    """The error for `path` that cannot be written: the place, the reason and the cure."""
    reason = error.strerror or str(error)
    cure = _CURES.get(error.errno or 0, "check the disk and the path")
    return StorageError(f"{path}: cannot be written: {reason}; {cure}")


def is_disk_full(error: BaseException) -> TypeGuard[OSError]:
    """Whether the disk or a quota is full, whoever wrote."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def appearing_at_once(path: Path) -> Iterator[Path]:
    """Another name, under which a library makes what is `path` when the block ends.

    For databases, whose tables are made one by one: what an interruption left goes first.

    Raises:
        OSError: what was left cannot be removed, or the name cannot be given.
    """
    unfinished = path.with_name(f".{path.name}.new")
    for leftover in path.parent.glob(f"{unfinished.name}*"):  # a journal may be there as well
        leftover.unlink()
    yield unfinished
    os.replace(unfinished, path)


@contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes the name `path` when the block ends, and never if it raises.

    Raises:
        StorageError: the file cannot be written; what `path` held before is untouched.
    """
    refuse_directory(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _confirm.get()()
        os.replace(temporary, path)
        _sync_directory(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def refuse_directory(path: Path) -> None:
    """Find out now, before there is anything to write, whether `path` can be the name of a file.

    Raises:
        StorageError: it is a directory.
    """
    if os.path.isdir(path):  # which, unlike `Path.is_dir`, is also False where nothing is allowed
        raise StorageError(f"{path}: is a directory: give the name of a file to write")


def create_directory(directory: Path) -> None:
    """Create `directory` and its parents where they are missing.

    Raises:
        StorageError: it cannot be created.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(directory, error) from error


def ensure_writable(directory: Path) -> None:
    """Create `directory` if need be, and find out now whether files can be written there.

    Raises:
        StorageError: it cannot be created or written.
    """
    create_directory(directory)
    probe = directory / ".probe"
    write_bytes_atomically(probe, b"")
    probe.unlink(missing_ok=True)


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all.

    Raises:
        StorageError: the file cannot be written; what `path` held before is untouched.
    """
    with atomic_writer(path) as file:
        file.write(content)


def write_text_atomically(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all.

    Raises:
        StorageError: the file cannot be written; what `path` held before is untouched.
    """
    write_bytes_atomically(path, text.encode())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
