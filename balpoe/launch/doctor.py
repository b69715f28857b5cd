"""The command `doctor`: check the consistency of a study's storage, files, mirror and exports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from balpoe.config import StudySpec
from balpoe.errors import CorruptFile, StorageError
from balpoe.exporting.export_files import exported_trials
from balpoe.launch import RUNS
from balpoe.launch.doctor_checks import CHECKS, Key, RepeatFiles, StudyContents
from balpoe.launch.runs import find_study, local_runs
from balpoe.launch.tracking import saved_store
from balpoe.study.object_store.study_files import study_files
from balpoe.study.records.record_store import RecordStore, summaries
from balpoe.study.search.spent_budget import is_finished
from balpoe.study.storage.storage_record import hold_study
from balpoe.study.trials.directory import StudyDirectory, TrialDirectory
from balpoe.study.trials.metrics_file import read_metrics
from balpoe.study.trials.record import TrialIdentity, TrialRecord
from balpoe.study.trials.result_file import TrialResult, read_result
from balpoe.tracking import MirroredStudy, TrackingStore, mirrored_study
from balpoe.training.epoch import EpochResult
from balpoe.training.predictions_file import read_predictions


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The faults that a check has found, and a hint how to fix them."""

    name: str
    faults: tuple[str, ...]
    hint: str


def doctor(study: str, *, runs: Path | str = RUNS) -> tuple[CheckResult, ...]:
    """Run all checks on a study that is not running; nothing is changed.

    Raises:
        UserError: there is no such study, or it is running.
        CorruptFile: its storage is damaged.
        StorageError: its storage cannot be read.
    """
    copies = local_runs(runs)
    spec, directory = find_study(study, copies)
    with hold_study(directory):
        study_files(directory).refresh()
        trials = summaries(spec, directory)
        contents = StudyContents(
            spec=spec,
            trials=trials,
            is_over=_is_over(spec, directory, trials),
            files=dict(_read_files(directory, trials)),
            mirror=_read_mirror(saved_store(directory, copies), study),
            exported=dict(exported_trials(directory.exports)),
        )
    return tuple(
        CheckResult(check.name, tuple(check.faults(contents)), check.hint.format(study=study))
        for check in CHECKS
    )


def _is_over(spec: StudySpec, directory: StudyDirectory, trials: tuple[TrialRecord, ...]) -> bool:
    """Return whether the budget is spent; hours are counted only if all files are sound."""
    store = RecordStore(spec, directory)
    with suppress(CorruptFile):
        trials = store.records()
    ended = [trial for trial in trials if trial.state != "RUNNING"]
    return is_finished(spec, ended, store.launches())


def _read_files(
    directory: StudyDirectory, trials: tuple[TrialRecord, ...]
) -> Iterator[tuple[Key, RepeatFiles]]:
    for trial in trials:
        number = trial.identity.number
        for repeat in sorted({0, *directory.repeats(number)}):
            files = directory.trial(TrialIdentity("", number, repeat))
            yield (number, repeat), _read_repeat(files)


def _read_repeat(directory: TrialDirectory) -> RepeatFiles:
    damage: list[str] = []
    result: TrialResult | None = None
    history: tuple[EpochResult, ...] = ()
    try:
        if directory.metrics.exists():
            history = read_metrics(directory.metrics)
        if directory.result.exists():
            result = read_result(directory)
            if directory.predictions.name in result.files:  # unless deleted by `balpoe clean`
                read_predictions(directory.predictions)
    except CorruptFile as error:
        damage.append(str(error))
    epochs = tuple(epoch.epoch for epoch in history)
    last = history[-1].metrics if history else {}
    return RepeatFiles(epochs, last, result, tuple(damage))


def _read_mirror(store: TrackingStore, study: str) -> MirroredStudy | str:
    try:
        return mirrored_study(store, study)
    except StorageError as error:
        return str(error)
