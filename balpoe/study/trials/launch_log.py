"""The log of a study's launches: a file for each with its settings, code and host.

Budget, resources, sampler, early stopping, ranges, known points and code may change from launch to
launch.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from balpoe.atomic_write import create_directory, write_text_atomically
from balpoe.config import StudySpec, to_plain
from balpoe.json_record import read_record
from balpoe.study.trials.earlier_records import EARLIER_LAUNCH
from balpoe.study.trials.environment import Environment, current_environment

FORMAT = 2
_FORMATS = (FORMAT, EARLIER_LAUNCH)


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch of a study.

    `number` counts from 0, `started` is in Unix seconds, `study` holds every setting. `warm_start`
    are the trials of earlier studies from which the sampler learned, by the names of the studies.
    """

    number: int
    started: float
    host: str
    environment: Environment
    study: Mapping[str, Any]
    warm_start: Mapping[str, Sequence[int]] = field(default_factory=dict)


def log_launch(
    directory: Path,
    spec: StudySpec,
    *,
    number: int,
    started: float,
    warm_start: Mapping[str, Sequence[int]] | None = None,
) -> Path:
    """Write the file of a launch to `directory`; return its path.

    Raises:
        StorageError: the file cannot be written.
    """
    launch = Launch(
        number,
        started,
        socket.gethostname(),
        current_environment(),
        to_plain(spec),
        warm_start or {},
    )
    create_directory(directory)
    text = json.dumps({"format": FORMAT, **asdict(launch)}, indent=1, ensure_ascii=False)
    file = directory / f"{number:04d}.json"
    write_text_atomically(file, text + "\n")
    return file


def logged_launches(directory: Path) -> tuple[Launch, ...]:
    """Return the launches in `directory`, in order; none if the directory does not exist.

    Raises:
        CorruptFile: a file is damaged or of another format.
    """
    files = sorted(directory.glob("*.json"))
    return tuple(read_record(file, Launch, "restore it", formats=_FORMATS) for file in files)


def launch_at(launches: Sequence[Launch], moment: float) -> Launch | None:
    """Return the launch that was running at `moment` (Unix seconds); None if it is not known."""
    begun = [launch for launch in launches if launch.started <= moment]
    return max(begun, key=lambda launch: launch.started, default=None)
