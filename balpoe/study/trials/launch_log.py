"""What every launch of a study began with: its settings, the code and the machine.

Budget, resources, sampler, early stopping, ranges and known points may change from launch to
launch, and so may the code; a file per launch keeps with what each trial came about.
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
from balpoe.errors import CorruptFile
from balpoe.study.trials.environment import Environment, current_environment

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of the driver.

    `number` counts from 0, `started` is in Unix seconds, `study` holds every setting.
    `warm_start` are the trials that the sampler knew of earlier studies, by their names.
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
    """Write down in `directory` what the launch that begins now begins with; return the file.

    Raises:
        StorageError: it cannot be written.
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
    """The launches in `directory`, the first one first; none where it does not exist.

    Raises:
        CorruptFile: a file is damaged or of another format.
    """
    return tuple(_read(path) for path in sorted(directory.glob("*.json")))


def launch_at(launches: Sequence[Launch], moment: float) -> Launch | None:
    """The launch that was under way at `moment` (Unix seconds); None where none is known."""
    begun = [launch for launch in launches if launch.started <= moment]
    return max(begun, key=lambda launch: launch.started, default=None)


def _read(path: Path) -> Launch:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        if content.pop("format") != FORMAT:
            raise ValueError("its format is another one")
        return Launch(**{**content, "environment": Environment(**content["environment"])})
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CorruptFile(f"{path}: missing or damaged: {error}") from error
