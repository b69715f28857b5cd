"""What a study could do without: checkpoints and predictions of trials off its front.

Parameters, objectives, curves and results stay, of every trial. A trial that is still to be
taken up, and a repeat without a result, keep all that they have.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from balpoe.atomic_write import storage_error
from balpoe.config import StudySpec
from balpoe.study.candidates import candidates
from balpoe.study.directory import StudyDirectory, TrialDirectory
from balpoe.study.outline import with_repeats
from balpoe.study.record import TrialIdentity, TrialRecord
from balpoe.study.result_file import read_result, write_result
from balpoe.study.selection import mean_front


@dataclass(frozen=True, slots=True)
class Surplus:
    """What one repeat of a trial could do without, and how much space it takes."""

    identity: TrialIdentity
    directory: TrialDirectory
    size_bytes: int


def surplus(
    spec: StudySpec, directory: StudyDirectory, trials: Sequence[TrialRecord]
) -> tuple[Surplus, ...]:
    """The repeats of ended trials off the front of `trials` that have something to spare."""
    known = candidates(with_repeats(spec, directory, trials))
    front = {candidate.number for candidate in mean_front(known, spec.objectives)}
    ended = (trial for trial in trials if trial.state != "RUNNING")
    found = (
        Surplus(identity, files, sum(path.stat().st_size for path in _spared(files)))
        for trial in ended
        if trial.identity.number not in front
        for identity, files in _ended_repeats(directory, trial)
    )
    return tuple(item for item in found if item.size_bytes)


def remove(items: Sequence[Surplus]) -> None:
    """Delete them; the results stop vouching for predictions before those go.

    Raises:
        CorruptFile: a result is damaged; its trial, and those behind it, are left as they are.
        StorageError: something cannot be deleted.
    """
    for item in items:
        files = item.directory
        if files.result.exists():
            result = read_result(files)
            kept = {
                name: sha for name, sha in result.files.items() if name != files.predictions.name
            }
            write_result(files, replace(result, files=kept))
        try:
            files.predictions.unlink(missing_ok=True)
            if files.checkpoints.exists():
                shutil.rmtree(files.checkpoints)
        except OSError as error:
            raise storage_error(files.path, error) from error


def _ended_repeats(
    directory: StudyDirectory, trial: TrialRecord
) -> Iterator[tuple[TrialIdentity, TrialDirectory]]:
    """The trial's own, and its further seeds that came to their end."""
    own = directory.trial(trial.identity)
    yield trial.identity, own
    for path in sorted(own.path.parent.glob("repeat_*")):
        identity = replace(trial.identity, repeat=int(path.name.removeprefix("repeat_")))
        further = directory.trial(identity)
        if identity.repeat and further.result.exists():
            yield identity, further


def _spared(files: TrialDirectory) -> Iterator[Path]:
    if files.predictions.exists():
        yield files.predictions
    yield from files.checkpoints.glob("*")
