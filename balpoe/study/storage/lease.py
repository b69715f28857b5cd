"""One driver at a time: the lease of a study.

The lock belongs to the process and dies with it; the text in the file tells others who holds
it, and since when.
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
from balpoe.study.storage.host import Host, this_host

_ATTEMPTS, _PAUSE_SECONDS = 5, 0.1


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """The driver that runs a study; `since` is UTC in ISO 8601.

    `boot` tells the runs of a host's kernel apart, where the kernel says so.
    """

    host: str
    pid: int
    since: str
    boot: str = ""

    @property
    def is_here(self) -> bool:
        """Whether it runs on this host."""
        return Host(self.host, self.boot) == this_host()

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


def lease_holder(path: Path) -> LeaseHolder | None:
    """Who holds the lease; None where nobody does, or the holder has not yet written who it is."""
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
            # past the file's buffer: what does not fit would be tried once more when it is closed
            os.write(file.fileno(), json.dumps(asdict(present_holder())).encode())
        except OSError as error:
            raise storage_error(path, error) from error
        yield


def _is_locked(file: TextIO) -> bool:
    """Lock `file`; whoever only looks who holds it keeps it for a moment: a few attempts."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def present_holder() -> LeaseHolder:
    """This process, as the driver that holds a lease from now on."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return LeaseHolder(this_host().name, os.getpid(), since, this_host().boot)


def parsed_holder(text: str) -> LeaseHolder | None:
    """The holder that wrote `text`; None where there is none yet."""
    try:
        return LeaseHolder(**json.loads(text))
    except (ValueError, TypeError):  # it has the lock, but has not written yet
        return None


def refusal(study: str, text: str) -> str:
    """Why a second driver is refused, and what to do; `text` is what the first one wrote."""
    told = parsed_holder(text) or "another process"
    return f"{study}: is being run by {told}; wait for it or stop it first"
