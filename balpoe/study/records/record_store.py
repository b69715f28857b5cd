"""The records of a study's trials, from the ledger and the files.

Optuna's storage decides identity, parameters, state and objectives, the Parquet files the
histories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from balpoe.config import StudySpec
from balpoe.study.object_store.study_files import study_files
from balpoe.study.records.ledger import Ledger
from balpoe.study.records.repeat_states import RepeatStates
from balpoe.study.search.spent_budget import SpentBudget, spent_by_launches
from balpoe.study.storage.storage_record import storage_of
from balpoe.study.trials.attempts_file import read_attempts
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.metrics_file import read_metrics
from balpoe.study.trials.record import TrialIdentity, TrialRecord
from balpoe.study.trials.result_file import read_result
from balpoe.training.epoch import EpochResult


class RecordStore:
    """Reads the trials of the study `spec` in `directory`, also while it runs.

    Raises:
        CorruptFile: the storage is damaged.
        StorageError: the storage cannot be opened.
        UserError: the study exists with other objectives.
    """

    def __init__(self, spec: StudySpec, directory: StudyDirectory) -> None:
        self._study = spec.name
        self._directory = directory
        self._files = study_files(directory)
        self._ledger = Ledger(spec, directory)
        self._repeats = RepeatStates(spec, directory)

    def records(self) -> tuple[TrialRecord, ...]:
        """Return all trials by number, each followed by its repeats with further seeds.

        Raises:
            CorruptFile: a file of a trial is missing, damaged or was changed.
        """
        trials = self._ledger.records()
        self._files.refresh()  # after the ledger: its ended trials have their files
        return tuple(
            record
            for trial in trials
            for record in (self._with_files(trial), *self._repeats.records(trial.identity.number))
        )

    def launches(self) -> tuple[float, ...]:
        """Return the times at which the launches began, in Unix seconds."""
        return self._ledger.launches()

    def record(self, number: int, repeat: int = 0) -> TrialRecord:
        """Return the record of trial `number`, or of one of its repeats.

        Raises:
            CorruptFile: a file of the trial is missing, damaged or was changed.
        """
        identity = TrialIdentity(self._study, number, repeat)
        trial = None if repeat else self._ledger.record(identity)
        self._files.refresh_trial(identity)
        return self._with_files(trial) if trial else self._repeats.record(identity)

    def history(self, number: int, repeat: int = 0) -> tuple[EpochResult, ...]:
        """Return the epochs of a trial that its files have.

        Raises:
            CorruptFile: the file is damaged.
        """
        identity = TrialIdentity(self._study, number, repeat)
        metrics = self._files.refresh_trial(identity).metrics
        return read_metrics(metrics) if metrics.exists() else ()

    def _with_files(self, trial: TrialRecord) -> TrialRecord:
        directory = self._directory.trial(trial.identity)
        complete = trial.state == "COMPLETE"
        result = read_result(directory) if complete else None
        has_metrics = complete or directory.metrics.exists()
        return replace(
            trial,
            history=read_metrics(directory.metrics) if has_metrics else (),
            data_fingerprint=result.data_fingerprint if result else None,
            attempts=read_attempts(directory),
        )


def summaries(spec: StudySpec, directory: StudyDirectory) -> tuple[TrialRecord, ...]:
    """Return all trials by number without reading the files of those that ended, nor repeats.

    RUNNING trials have the epochs that are on disk as their history. Nothing is created or
    written, and a damaged file of an ended trial does no harm.

    Raises:
        CorruptFile: the storage, or the metrics of a RUNNING trial, are damaged.
        StorageError: the storage cannot be read.
    """
    if not storage_of(directory).exists:
        return ()
    return tuple(_summary(directory, trial) for trial in Ledger(spec, directory).records())


def with_repeats(
    spec: StudySpec, directory: StudyDirectory, trials: Sequence[TrialRecord]
) -> tuple[TrialRecord, ...]:
    """Return the summaries `trials`, each followed by those of its repeats with further seeds.

    Raises:
        CorruptFile: the state or the result of a repeat is damaged.
    """
    repeats = RepeatStates(spec, directory)
    return tuple(
        record for trial in trials for record in (trial, *repeats.summaries(trial.identity.number))
    )


def spent_so_far(
    spec: StudySpec, directory: StudyDirectory, trials: Sequence[TrialRecord]
) -> SpentBudget:
    """Return what the study has spent of its budget, as far as the summaries `trials` show.

    Raises:
        StorageError: the storage cannot be read.
    """
    is_there = storage_of(directory).exists
    launches = Ledger(spec, directory).launches() if is_there else ()
    return spent_by_launches(trials, launches, spec.resources)


def _summary(directory: StudyDirectory, trial: TrialRecord) -> TrialRecord:
    metrics = directory.trial(trial.identity).metrics
    if trial.state == "RUNNING" and metrics.exists():
        return replace(trial, history=read_metrics(metrics))
    return trial
