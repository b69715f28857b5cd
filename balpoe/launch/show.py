"""The command `show`: a study or one of its trials on the terminal, from its files alone."""

from __future__ import annotations

import time
from pathlib import Path

from balpoe.errors import UserError
from balpoe.launch import RUNS
from balpoe.launch.runs import find_study, local_runs
from balpoe.reporting.study_view import ViewedStudy, ViewedTrial
from balpoe.study.records.record_store import RecordStore, summaries, with_repeats
from balpoe.study.records.trial_summaries import stored_floors, trial_summary
from balpoe.study.selection.candidates import candidates
from balpoe.study.selection.front import mean_front, ordered_front
from balpoe.study.storage.storage_record import driver_of


def viewed_study(study: str, *, runs: Path | str = RUNS) -> ViewedStudy:
    """Return what `show` prints of a study, which may be running; nothing is written.

    Raises:
        UserError: there is no such study.
        CorruptFile: its storage, or a file of a trial on the front, is damaged.
        StorageError: its storage cannot be read.
    """
    spec, directory = find_study(study, local_runs(runs))
    driver = driver_of(directory)
    records = with_repeats(spec, directory, summaries(spec, directory))
    on_front = {each.number for each in mean_front(candidates(records), spec.objectives)}
    if on_front:  # a record store of an empty study would create its storage
        store = RecordStore(spec, directory)
        # only the order of the front needs histories: other trials may have damaged files
        records = tuple(
            store.record(record.identity.number, record.identity.repeat)
            if record.identity.number in on_front and record.state == "COMPLETE"
            else record
            for record in records
        )
    front = ordered_front(records, spec.objectives)
    return ViewedStudy(
        spec=spec,
        records=records,
        front=front,
        floors=stored_floors(directory, front),
        driver=driver,
        now=time.time(),
    )


def viewed_trial(study: str, number: int, *, runs: Path | str = RUNS) -> ViewedTrial:
    """Return what `show` prints of the trial `number` of a study; nothing is written.

    Raises:
        UserError: there is no such study or trial.
        CorruptFile: the storage, or a file of the trial, is damaged, changed or of another format.
        StorageError: the storage cannot be read.
    """
    spec, directory = find_study(study, local_runs(runs))
    records = with_repeats(spec, directory, summaries(spec, directory))
    trials = {r.identity.number: r for r in records if r.identity.repeat == 0}
    if number not in trials:
        known = f"it has 0 to {max(trials)}" if trials else "it has none yet"
        raise UserError(f"trial {number}: {study} has no such trial; {known}")
    record = trials[number]
    if record.state == "COMPLETE":  # its files are verified
        record = RecordStore(spec, directory).record(number)
    return ViewedTrial(spec, record, records, trial_summary(directory, record))
