"""The records of a study's trials, put together from the ledger and the files.

Optuna's storage is true for identity, parameters, state and objectives, the Parquet files for
the curves.
"""

from __future__ import annotations

from balpoe.config import StudySpec
from balpoe.study.directory import StudyDirectory
from balpoe.study.ledger import Ledger, LedgerEntry
from balpoe.study.metrics_file import read_metrics
from balpoe.study.record import TrialIdentity, TrialRecord
from balpoe.study.result_file import read_result


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

    def records(self) -> tuple[TrialRecord, ...]:
        """All trials by number.

        Raises:
            CorruptFile: a file of a trial is missing, damaged or touched.
        """
        return tuple(map(self._record, self._ledger.entries()))

    def record(self, number: int) -> TrialRecord:
        """The trial `number`.

        Raises:
            CorruptFile: a file of the trial is missing, damaged or touched.
        """
        return self._record(self._ledger.entries()[number])

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
            data_fingerprint=result.data_fingerprint if result else None,
            started=entry.started,
            ended=entry.ended,
        )
