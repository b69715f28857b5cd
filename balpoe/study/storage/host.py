"""The identity of a host."""

from __future__ import annotations

import functools
import socket
from dataclasses import dataclass
from pathlib import Path

MUST_BE_SHARED = "must be on storage that all nodes share, and may write"


@dataclass(frozen=True, slots=True)
class Host:
    """A host by its name and the run of its kernel; `boot` is empty if that is unknown."""

    name: str
    boot: str


@functools.cache
def this_host() -> Host:
    """Return the host of this process."""
    return Host(socket.gethostname(), _boot_id())


def _boot_id() -> str:
    """Return the identifier of this run of the Linux kernel; empty on other systems."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
