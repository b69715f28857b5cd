"""Atomic writes: a file holds its old content or all of its new content, never a part.

The content is written to a temporary file in the same directory, synced to disk and renamed.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO, TypeGuard

from balpoe.errors import StorageError

_HINTS = {
    errno.ENOSPC: "free some space on the disk",
    errno.EDQUOT: "free some space in your quota",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
    errno.EACCES: "grant write permission to its directory or choose another",
    errno.EPERM: "grant write permission to its directory or choose another",
    errno.EROFS: "choose a directory on a writable file system",
    errno.ENOENT: "create its directory first",
    errno.ENOTDIR: "one of its parents is a file: remove it or choose another directory",
}

_PROBE = ".probe"
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")

_confirm: ContextVar[Callable[[], object]] = ContextVar("confirm", default=lambda: None)


@contextmanager
def confirming(confirm: Callable[[], object]) -> Iterator[None]:
    """Call `confirm` before each rename within the block; if `confirm` raises, no file appears.

    A process may be suspended during a write and continue after another process has written the
    same file.
    """
    before = _confirm.set(confirm)
    try:
        yield
    finally:
        _confirm.reset(before)


def storage_error(path: Path, error: OSError) -> StorageError:
    """Return the error for a `path` that cannot be written, with the reason and a hint."""
    reason = error.strerror or str(error)
    hint = _HINTS.get(error.errno or 0, "check the disk and the path")
    return StorageError(f"{path}: cannot be written: {reason}; {hint}")


def is_disk_full(error: BaseException) -> TypeGuard[OSError]:
    """Return whether a disk or a quota is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def created_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path that is renamed to `path` when the block ends.

    For databases, which a library creates table by table. Files of an interrupted creation are
    deleted first.

    Raises:
        OSError: an old temporary file cannot be deleted, or the new one cannot be renamed.
    """
    unfinished = path.with_name(f".{path.name}.new")
    for leftover in path.parent.glob(f"{unfinished.name}*"):  # with its journal
        leftover.unlink()
    yield unfinished
    os.replace(unfinished, path)


@contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """Yield a binary file that is renamed to `path` when the block ends, or deleted if it raises.

    Raises:
        StorageError: the file cannot be written; `path` is unchanged.
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
    """Refuse a directory as the path of a file, before there is anything to write.

    Raises:
        StorageError: `path` is a directory.
    """
    if os.path.isdir(path):  # unlike `Path.is_dir`, does not raise where access is denied
        raise StorageError(f"{path}: is a directory: give the name of a file to write")


def create_directory(directory: Path) -> None:
    """Create `directory` and its missing parents.

    Raises:
        StorageError: the directory cannot be created.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(directory, error) from error


def ensure_writable(directory: Path) -> None:
    """Create `directory` if it is missing, and check that files can be written there.

    Raises:
        StorageError: the directory cannot be created or written.
    """
    create_directory(directory)
    probe = directory / _PROBE
    write_bytes_atomically(probe, b"")
    probe.unlink(missing_ok=True)


def remove_interrupted_writes(directory: Path) -> None:
    """Delete the temporary files of killed processes in `directory`, where no process may write.

    A probe is kept: `ensure_writable` of another process may be writing it.
    """
    for path in directory.glob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name) and not path.name.startswith(f"{_PROBE}."):
            with suppress(OSError):
                path.unlink()


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically.

    Raises:
        StorageError: the file cannot be written; `path` is unchanged.
    """
    with atomic_writer(path) as file:
        file.write(content)


def write_text_atomically(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8.

    Raises:
        StorageError: the file cannot be written; `path` is unchanged.
    """
    write_bytes_atomically(path, text.encode())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
