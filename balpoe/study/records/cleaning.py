"""Surplus files of a study: checkpoints and predictions of ended trials off the front.

Exported trials keep their files: the temperatures of a final model are fitted on the predictions.
Trials that a user stopped keep theirs too.
Parameters, objectives, curves and results of all trials are kept, and all files of unfinished
trials and repeats.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from balpoe.atomic_write import storage_error
from balpoe.config import StudySpec
from balpoe.study.object_store.study_files import CHECKPOINTS, PREDICTIONS, study_files
from balpoe.study.records.record_store import with_repeats
from balpoe.study.selection.candidates import candidates
from balpoe.study.selection.front import mean_front
from balpoe.study.trials.directory import StudyDirectory, TrialDirectory
from balpoe.study.trials.record import TrialIdentity, TrialRecord
from balpoe.study.trials.result_file import read_result, write_result


@dataclass(frozen=True, slots=True)
class Surplus:
    """The surplus files of one repeat of a trial, with their sizes in bytes."""

    identity: TrialIdentity
    directory: TrialDirectory
    files: Mapping[Path, int]

    @property
    def size_bytes(self) -> int:
        """The size of all files in bytes."""
        return sum(self.files.values())


def surplus(
    spec: StudySpec,
    directory: StudyDirectory,
    trials: Sequence[TrialRecord],
    *,
    kept: Collection[int | None],
) -> tuple[Surplus, ...]:
    """Return the surplus of ended repeats of `trials` off the front, except trials `kept`."""
    known = candidates(with_repeats(spec, directory, trials))
    front = {candidate.number for candidate in mean_front(known, spec.objectives)}
    ended = (trial for trial in trials if trial.state != "RUNNING")
    surplus_files = _surplus_files(directory)
    found = (
        Surplus(identity, files, surplus_files.get(files, {}))
        for trial in ended
        if trial.identity.number not in front and trial.identity.number not in kept
        for identity, files in _ended_repeats(directory, trial)
    )
    return tuple(item for item in found if item.size_bytes)


def remove(directory: StudyDirectory, items: Sequence[Surplus]) -> None:
    """Delete surplus files; results stop listing predictions before those are deleted.

    Raises:
        CorruptFile: a result is damaged; its trial and the trials after it keep their files.
        StorageError: a file cannot be deleted.
    """
    files = study_files(directory)
    for item in items:
        trial = files.refresh_trial(item.identity)
        with files.changing(trial.result):
            _drop_predictions_from_result(trial)
        try:
            files.delete(item.files)
        except OSError as error:
            raise storage_error(trial.path, error) from error


def _drop_predictions_from_result(trial: TrialDirectory) -> None:
    if trial.result.exists():
        result = read_result(trial)
        kept = {name: sha for name, sha in result.files.items() if name != trial.predictions.name}
        write_result(trial, replace(result, files=kept))


def _ended_repeats(
    directory: StudyDirectory, trial: TrialRecord
) -> Iterator[tuple[TrialIdentity, TrialDirectory]]:
    """Yield a trial and its repeats that have a result."""
    yield trial.identity, directory.trial(trial.identity)
    for repeat in directory.repeats(trial.identity.number):
        identity = replace(trial.identity, repeat=repeat)
        further = directory.trial(identity)
        if repeat and further.result.exists():
            yield identity, further


def _surplus_files(directory: StudyDirectory) -> dict[TrialDirectory, dict[Path, int]]:
    """Return the sizes of all checkpoints and predictions by repeat."""
    surplus: dict[TrialDirectory, dict[Path, int]] = defaultdict(dict)
    for path, size in study_files(directory).sizes().items():
        if path.parent.name == CHECKPOINTS:
            surplus[TrialDirectory(path.parent.parent)][path] = size
        elif path.name == PREDICTIONS:
            surplus[TrialDirectory(path.parent)][path] = size
    return surplus
