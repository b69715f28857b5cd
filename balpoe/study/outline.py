"""The trials of a study at a glance: from the ledger, without the files of those that ended.

What a full record costs (every file read and its sha256 checked) a look at a running study
need not pay, nor must a damaged file spoil it. Nothing is created or written.
"""

from __future__ import annotations

from balpoe.config import StudySpec
from balpoe.study.directory import StudyDirectory
from balpoe.study.ledger import Ledger, LedgerEntry
from balpoe.study.metrics_file import read_metrics
from balpoe.study.record import TrialIdentity, TrialRecord


def outlines(spec: StudySpec, directory: StudyDirectory) -> tuple[TrialRecord, ...]:
    """All trials by number, also while they run.

    RUNNING ones have the epochs that are on disk as their history, the others none; repeats
    with further seeds are left out.

    Raises:
        CorruptFile: the storage, or the metrics of a RUNNING trial, are damaged.
        StorageError: the storage cannot be read.
    """
    if not directory.database.exists():
        return ()
    return tuple(_outline(spec, directory, entry) for entry in Ledger(spec, directory).entries())


def _outline(spec: StudySpec, directory: StudyDirectory, entry: LedgerEntry) -> TrialRecord:
    identity = TrialIdentity(spec.name, entry.number, attempt=entry.attempt)
    metrics = directory.trial(identity).metrics
    running = entry.state == "RUNNING"
    return TrialRecord(
        identity=identity,
        parameters=entry.parameters,
        state=entry.state,
        history=read_metrics(metrics) if running and metrics.exists() else (),
        objectives=entry.objectives,
        failure=entry.failure,
        data_fingerprint=None,
        started=entry.started,
        ended=entry.ended,
    )
