"""The verb `doctor`: whether everything that must hold in a study does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from balpoe.config import StudySpec
from balpoe.errors import CorruptFile, StorageError
from balpoe.launch import RUNS
from balpoe.launch.doctor_checks import INVARIANTS, Findings, Key, RepeatFiles
from balpoe.launch.lookup import study_of
from balpoe.launch.runs import local_runs
from balpoe.launch.tracking import kept_store
from balpoe.study.object_store.study_files import study_files
from balpoe.study.records.record_store import RecordStore, summaries
from balpoe.study.search.completion import is_finished
from balpoe.study.storage.study_storage import hold_study
from balpoe.study.trials.directory import StudyDirectory, TrialDirectory
from balpoe.study.trials.metrics_file import read_metrics
from balpoe.study.trials.predictions_file import read_predictions
from balpoe.study.trials.record import TrialIdentity, TrialRecord
from balpoe.study.trials.result_file import TrialResult, read_result
from balpoe.tracking import MirroredStudy, TrackingStore, mirrored_study
from balpoe.training.epoch import EpochResult


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant, where it does not hold, and what to do then."""

    name: str
    faults: tuple[str, ...]
    cure: str


def doctor(study: str, *, runs: Path | str = RUNS) -> tuple[Check, ...]:
    """Check the invariants of a study that nobody runs at the moment; nothing is changed.

    Raises:
        UserError: there is no such study, or it is being run.
        CorruptFile: its storage is damaged.
        StorageError: its storage cannot be read.
    """
    copies = local_runs(runs)
    spec, directory = study_of(study, copies)
    with hold_study(directory):
        study_files(directory).refresh()
        trials = summaries(spec, directory)
        numbers = [trial.identity.number for trial in trials]
        found = Findings(
            spec=spec,
            trials=trials,
            is_over=_is_over(spec, directory, trials),
            files=dict(_files(directory, numbers)),
            mirror=_mirror(kept_store(directory, copies), study),
            exported=dict(_exported(directory)),
        )
    return tuple(
        Check(
            invariant.name,
            tuple(invariant.faults(found)),
            invariant.cure.format(study=study),
        )
        for invariant in INVARIANTS
    )


def _is_over(spec: StudySpec, directory: StudyDirectory, trials: tuple[TrialRecord, ...]) -> bool:
    """Whether the budget is spent, RUNNING trials or not; hours are counted from sound files."""
    store = RecordStore(spec, directory)
    with suppress(CorruptFile):
        trials = store.records()
    ended = [trial for trial in trials if trial.state != "RUNNING"]
    return is_finished(spec, ended, store.launches())


def _files(directory: StudyDirectory, numbers: list[int]) -> Iterator[tuple[Key, RepeatFiles]]:
    """Of every trial in Optuna, and of every repeat that has a directory."""
    for number in numbers:
        for repeat in sorted({0, *directory.repeats(number)}):
            yield (number, repeat), _read(directory.trial(TrialIdentity("", number, repeat)))


def _read(directory: TrialDirectory) -> RepeatFiles:
    damage: list[str] = []
    result: TrialResult | None = None
    history: tuple[EpochResult, ...] = ()
    try:
        if directory.metrics.exists():
            history = read_metrics(directory.metrics)
        if directory.result.exists():
            result = read_result(directory)
            if directory.predictions.name in result.files:  # `balpoe clean` takes them away
                read_predictions(directory.predictions)
    except CorruptFile as error:
        damage.append(str(error))
    epochs = tuple(epoch.epoch for epoch in history)
    last = history[-1].metrics if history else {}
    return RepeatFiles(epochs, last, result, tuple(damage))


def _mirror(store: TrackingStore, study: str) -> MirroredStudy | str:
    try:
        return mirrored_study(store, study)
    except StorageError as error:
        return str(error)


def _exported(directory: StudyDirectory) -> Iterator[tuple[str, int | None]]:
    for path in sorted(directory.exports.glob("*.provenance.json")):
        try:
            yield path.name, int(json.loads(path.read_bytes())["trial"])
        except (OSError, ValueError, KeyError, TypeError):
            yield path.name, None
