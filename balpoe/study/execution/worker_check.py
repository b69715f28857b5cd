"""Whether a worker may run the trials of a study: its node may have joined during the launch.

Nodes that were there before are inspected by the driver. Where one that came later lacks something,
every trial that it took would fail, or be written where nobody finds it.
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
from balpoe.study.execution.software import Software, disagreements, in_words, software
from balpoe.study.storage.host import MUST_BE_SHARED
from balpoe.study.trials.failures import Failure


@dataclass(frozen=True, slots=True)
class WorkerNeeds:
    """What a worker needs: the driver's `software`, and the files that `configuration` names.

    `sign` is a file that the driver wrote in the study's directory for this launch; None where
    the study is on an object store, which says itself what is wrong.
    """

    software: Software
    configuration: Configuration
    sign: Path | None


def unfitness(needs: WorkerNeeds) -> Failure | None:
    """Why no trial may run in this process, in a line that names its node and the cure."""
    lacks = next(_lacks(needs), None)
    if lacks is None:
        return None
    ip = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]  # Ray's
    return Failure("unfit", f"{socket.gethostname()} ({ip}): {lacks}")


def _lacks(needs: WorkerNeeds) -> Iterator[str]:
    differing = [each for each in disagreements(needs.software, software()) if each.is_decisive]
    if differing:
        yield in_words(differing)
    if needs.sign is not None and not needs.sign.is_file():
        yield f"{needs.sign}: is not seen there; the study's directory {MUST_BE_SHARED}"
    try:
        needed_sizes(needs.configuration)
    except UserError as error:
        yield str(error)
