"""The log of a study's launches: a file for each with its settings, code and host.

Budget, resources, sampler, early stopping, ranges, known points and code may change from launch to
launch.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from balpoe.atomic_write import create_directory, write_text_atomically
from balpoe.config import StudySpec, to_plain
from balpoe.json_record import read_record
from balpoe.study.trials.earlier_records import EARLIER_LAUNCH
from balpoe.study.trials.environment import Environment, current_environment
from balpoe.study.trials.requests import Answer, Request

FORMAT = 2
_FORMATS = (FORMAT, EARLIER_LAUNCH)


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request that reached the driver at the Unix time `time`, and what it did."""

    time: float
    request: Request
    answer: Answer


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch of a study.

    `number` counts from 0, `started` is in Unix seconds, `study` holds every setting. `warm_start`
    are the trials of earlier studies from which the sampler learned, by the names of the studies.
    `requests` are those of users while the launch ran. `study_commit` is the commit of the study
    file; None if git does not track it.
    """

    number: int
    started: float
    host: str
    environment: Environment
    study: Mapping[str, Any]
    warm_start: Mapping[str, Sequence[int]] = field(default_factory=dict)
    requests: tuple[LoggedRequest, ...] = ()
    study_commit: str | None = None


def log_launch(
    directory: Path,
    spec: StudySpec,
    *,
    number: int,
    started: float,
    warm_start: Mapping[str, Sequence[int]] | None = None,
    study_commit: str | None = None,
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
        study_commit=study_commit,
    )
    create_directory(directory)
    return _write(directory, launch)


def log_request(directory: Path, number: int, request: Request, answer: Answer) -> None:
    """Add a request and its answer to the file of launch `number`.

    Raises:
        CorruptFile: the file is missing or damaged.
        StorageError: the file cannot be written.
    """
    launch = _read(_file(directory, number))
    logged = LoggedRequest(time.time(), request, answer)
    _write(directory, replace(launch, requests=(*launch.requests, logged)))


def _write(directory: Path, launch: Launch) -> Path:
    content = asdict(launch)
    for name in ("requests", "study_commit"):  # which many launches lack, and earlier versions
        if not content[name]:
            del content[name]
    text = json.dumps({"format": FORMAT, **content}, indent=1, ensure_ascii=False)
    file = _file(directory, launch.number)
    write_text_atomically(file, text + "\n")
    return file


def _file(directory: Path, number: int) -> Path:
    return directory / f"{number:04d}.json"


def _read(file: Path) -> Launch:
    return read_record(file, Launch, "restore it", formats=_FORMATS)


def logged_launches(directory: Path) -> tuple[Launch, ...]:
    """Return the launches in `directory`, in order; none if the directory does not exist.

    Raises:
        CorruptFile: a file is damaged or of another format.
    """
    files = sorted(directory.glob("*.json"))
    return tuple(map(_read, files))


def stopped_trials(directory: Path) -> frozenset[int]:
    """Return the trials that users have stopped in the launches in `directory`.

    Raises:
        CorruptFile: a file is damaged or of another format.
    """
    return frozenset(
        logged.request.trial
        for launch in logged_launches(directory)
        for logged in launch.requests
        if logged.request.trial is not None and not logged.answer.refused
    )


def launch_at(launches: Sequence[Launch], moment: float) -> Launch | None:
    """Return the launch that was running at `moment` (Unix seconds); None if it is not known."""
    begun = [launch for launch in launches if launch.started <= moment]
    return max(begun, key=lambda launch: launch.started, default=None)
