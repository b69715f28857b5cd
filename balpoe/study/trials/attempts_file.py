"""The attempts at one repeat of a trial, as JSON: every attempt adds where and when it began."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass

from balpoe.atomic_write import write_text_atomically
from balpoe.errors import CorruptFile
from balpoe.json_record import read_record
from balpoe.study.trials.directory import TrialDirectory
from balpoe.study.trials.record import Attempt

FORMAT = 1


@dataclass(frozen=True, slots=True)
class _AttemptsFile:
    attempts: tuple[Attempt, ...]


def read_attempts(directory: TrialDirectory) -> tuple[Attempt, ...]:
    """Return the attempts in `directory` by number; none of a trial of an earlier version.

    Raises:
        CorruptFile: the file is damaged or of another format.
    """
    path = directory.attempts
    if not path.exists():
        return ()
    return read_record(path, _AttemptsFile, "delete it", formats=(FORMAT,)).attempts


def add_attempt(directory: TrialDirectory, attempt: Attempt) -> None:
    """Add an attempt to the file in `directory`; a damaged one is begun anew.

    Raises:
        StorageError: the file cannot be written; its previous content is kept.
    """
    before: tuple[Attempt, ...] = ()
    with suppress(CorruptFile):  # no reason to fail a trial
        before = read_attempts(directory)
    content = _AttemptsFile((*before, attempt))
    text = json.dumps({"format": FORMAT, **asdict(content)}) + "\n"
    write_text_atomically(directory.attempts, text)
