"""The records of a study's trials, put together from the ledger and the files.

Optuna's storage is true for identity, parameters, state and objectives, the Parquet files for
the curves.
"""

from __future__ import annotations

from balpoe.config import StudySpec
from balpoe.study.object_store.working_copy import bring_study, bring_trial
from balpoe.study.records.ledger import Ledger
from balpoe.study.records.ledger_entry import LedgerEntry
from balpoe.study.records.repeat_ledger import RepeatLedger
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.metrics_file import read_metrics
from balpoe.study.trials.record import TrialIdentity, TrialRecord
from balpoe.study.trials.result_file import read_result


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
        self._ledger = Ledger(spec, directory)
        self._repeats = RepeatLedger(spec, directory)

    def records(self) -> tuple[TrialRecord, ...]:
        """All trials by number, each followed by its repeats with further seeds.

        Raises:
            CorruptFile: a file of a trial is missing, damaged or touched.
        """
        entries = self._ledger.entries()
        bring_study(self._directory)  # files are there before the ledger says so
        return tuple(
            record
            for entry in entries
            for record in (self._record(entry), *self._repeats.records(entry.number))
        )

    def launches(self) -> tuple[float, ...]:
        """When each launch began; Unix seconds."""
        return self._ledger.launches()

    def record(self, number: int, repeat: int = 0) -> TrialRecord:
        """The trial `number`, or a repeat of it.

        Raises:
            CorruptFile: a file of the trial is missing, damaged or touched.
        """
        identity = TrialIdentity(self._study, number, repeat)
        entry = None if repeat else self._ledger.entry(number)
        bring_trial(self._directory, identity)
        return self._record(entry) if entry else self._repeats.record(identity)

    def _record(self, entry: LedgerEntry) -> TrialRecord:
        identity = TrialIdentity(self._study, entry.number, attempt=entry.attempt)
        directory = self._directory.trial(identity)
        complete = entry.state == "COMPLETE"
        result = read_result(directory) if complete else None
        has_metrics = complete or directory.metrics.exists()
        return TrialRecord(
            identity=identity,
            parameters=entry.parameters,
            state=entry.state,
            history=read_metrics(directory.metrics) if has_metrics else (),
            objectives=entry.objectives,
            failure=entry.failure,
            failure_class=entry.failure_class,
            data_fingerprint=result.data_fingerprint if result else None,
            started=entry.started,
            ended=entry.ended,
            violations=entry.violations,
        )
