"""The trials of a study at a glance: from the ledger, without the files of those that ended.

What a full record costs (every file read and its sha256 checked) a look at a running study
need not pay, nor must a damaged file spoil it. Nothing is created or written.
"""

from __future__ import annotations

from collections.abc import Sequence

from balpoe.config import StudySpec
from balpoe.study.records.ledger import Ledger
from balpoe.study.records.ledger_entry import LedgerEntry
from balpoe.study.records.repeat_ledger import RepeatLedger
from balpoe.study.search.spent_budget import Spent, spent_by_launches
from balpoe.study.storage.study_storage import storage_of
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.metrics_file import read_metrics
from balpoe.study.trials.record import TrialIdentity, TrialRecord


def outlines(spec: StudySpec, directory: StudyDirectory) -> tuple[TrialRecord, ...]:
    """All trials by number, also while they run.

    RUNNING ones have the epochs that are on disk as their history, the others none; repeats
    with further seeds are left out: see `with_repeats`.

    Raises:
        CorruptFile: the storage, or the metrics of a RUNNING trial, are damaged.
        StorageError: the storage cannot be read.
    """
    if not storage_of(directory).is_there:
        return ()
    return tuple(_outline(spec, directory, entry) for entry in Ledger(spec, directory).entries())


def spent_so_far(
    spec: StudySpec, directory: StudyDirectory, trials: Sequence[TrialRecord]
) -> Spent:
    """What the study has spent of its budget, as far as the outlines of its trials tell.

    Raises:
        StorageError: the storage cannot be read.
    """
    is_there = storage_of(directory).is_there
    launches = Ledger(spec, directory).launches() if is_there else ()
    return spent_by_launches(trials, launches, spec.resources)


def with_repeats(
    spec: StudySpec, directory: StudyDirectory, trials: Sequence[TrialRecord]
) -> tuple[TrialRecord, ...]:
    """The outlines of `trials`, each followed by those of its repeats with further seeds.

    Raises:
        CorruptFile: the state or the result of a repeat is damaged.
    """
    ledger = RepeatLedger(spec, directory)
    return tuple(
        outline for trial in trials for outline in (trial, *ledger.outlines(trial.identity.number))
    )


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
        failure_class=entry.failure_class,
        data_fingerprint=None,
        started=entry.started,
        ended=entry.ended,
        violations=entry.violations,
    )
