"""Which host something runs on, whatever its processes are."""

from __future__ import annotations

import functools
import socket
from dataclasses import dataclass
from pathlib import Path

MUST_BE_SHARED = "must be on storage that all nodes share, and may write"


@dataclass(frozen=True, slots=True)
class Host:
    """A host by its name and by this run of its kernel; `boot` is empty where that is unknown."""

    name: str
    boot: str


@functools.cache
def this_host() -> Host:
    """The host of this process."""
    return Host(socket.gethostname(), _boot_id())


def _boot_id() -> str:
    """What Linux calls this run of the kernel; empty elsewhere."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
