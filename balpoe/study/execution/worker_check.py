"""Check of a worker before it runs trials of a study.

The driver inspects the nodes that are there when a launch begins; workers on nodes that join later
check themselves. Otherwise every trial there would fail, or its files would be lost.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ray

from balpoe.config import Configuration
from balpoe.data.required_files import needed_sizes
from balpoe.errors import UserError
from balpoe.study.execution.software import Software, differences_text, software
from balpoe.study.storage.host import MUST_BE_SHARED
from balpoe.study.trials.failures import Failure


@dataclass(frozen=True, slots=True)
class WorkerRequirements:
    """What a worker needs: the driver's `software`, and the files that `configuration` names.

    `launch_file` is a file in the study's directory that the driver wrote for this launch; None
    for a study on an object store, which reports its own errors.
    """

    software: Software
    configuration: Configuration
    launch_file: Path | None


def check_worker(requirements: WorkerRequirements) -> Failure | None:
    """Return why no trial can run in this process, with the node and a fix, or None."""
    missing = next(_missing(requirements), None)
    if missing is None:
        return None
    ip = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]  # Ray's
    return Failure("unfit", f"{socket.gethostname()} ({ip}): {missing}")


def _missing(requirements: WorkerRequirements) -> Iterator[str]:
    differing = differences_text(requirements.software, software(), decisive=True)
    if differing is not None:
        yield differing
    file = requirements.launch_file
    if file is not None and not file.is_file():
        yield f"{file}: is not seen there; the study's directory {MUST_BE_SHARED}"
    try:
        needed_sizes(requirements.configuration)
    except UserError as error:
        yield str(error)
