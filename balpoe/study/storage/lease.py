"""The lease of a study: one driver at a time.

The kernel releases the lock when the process that holds it ends. The content of the file
describes that process.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from balpoe.atomic_write import storage_error
from balpoe.errors import UserError
from balpoe.json_record import parsed
from balpoe.study.storage.host import Host, this_host

_ATTEMPTS, _PAUSE_SECONDS = 5, 0.1


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """The driver that runs a study; `since` is UTC in ISO 8601.

    `boot` identifies the run of the host's kernel; empty if unknown.
    """

    host: str
    pid: int
    since: str
    boot: str = ""

    @property
    def is_here(self) -> bool:
        """Whether the driver runs on this host."""
        return Host(self.host, self.boot) == this_host()

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


def lease_holder(path: Path) -> LeaseHolder | None:
    """Return the holder of the lease; None if there is none or its description is not written."""
    if not path.exists():
        return None
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return parsed_holder(file.read())
    return None


@contextmanager
def hold_lease(path: Path) -> Iterator[None]:
    """Hold the lease for the length of the block.

    Raises:
        UserError: another driver holds it.
        StorageError: the file cannot be written.
    """
    try:
        file = path.open("a+")
    except OSError as error:
        raise storage_error(path, error) from error
    with file:
        if not _is_locked(file):
            file.seek(0)
            raise UserError(refusal(path.parent.name, file.read()))
        try:
            file.truncate(0)
            # unbuffered: closing the file would retry a buffered write that failed
            os.write(file.fileno(), json.dumps(asdict(present_holder())).encode())
        except OSError as error:
            raise storage_error(path, error) from error
        yield


def _is_locked(file: TextIO) -> bool:
    """Lock `file`, with a few attempts: `lease_holder` locks it for a moment."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def present_holder() -> LeaseHolder:
    """Return the description of this process, as the holder of a lease from now on."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return LeaseHolder(this_host().name, os.getpid(), since, this_host().boot)


def parsed_holder(text: str) -> LeaseHolder | None:
    """Return the holder that `text` describes; None if the text is incomplete."""
    try:
        return parsed(json.loads(text), LeaseHolder)
    except ValueError:  # the holder has the lock and has not written its description yet
        return None


def refusal(study: str, text: str) -> str:
    """Return the message that refuses a second driver; `text` describes the first one."""
    driver = parsed_holder(text) or "another process"
    return f"{study}: is being run by {driver}; wait for it or stop it first"
