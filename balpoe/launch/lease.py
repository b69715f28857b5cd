"""One driver at a time: the lease of a study.

The lock belongs to the process and dies with it; the text in the file tells others who holds
it, and since when.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from balpoe.atomic_write import storage_error
from balpoe.errors import UserError


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
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise UserError(_refusal(path.parent.name, file.read())) from error
        file.truncate(0)
        json.dump(
            {
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
            },
            file,
        )
        file.flush()
        yield


def _refusal(study: str, holder: str) -> str:
    try:
        who = json.loads(holder)
        told = f"process {who['pid']} on {who['host']} since {who['since']}"
    except (ValueError, KeyError):  # it has the lock, but has not written yet
        told = "another process"
    return f"{study}: is being run by {told}; wait for it or stop it first"
