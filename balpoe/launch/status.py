"""The command `status`: the state of a study, read from its storage and files."""

from __future__ import annotations

import time
from pathlib import Path

from balpoe.launch import RUNS
from balpoe.launch.runs import find_study, local_runs
from balpoe.reporting.study_status import StudyStatus
from balpoe.study.records.record_store import spent_so_far, summaries, with_repeats
from balpoe.study.search.spent_budget import hours_spent
from balpoe.study.selection.candidates import candidates
from balpoe.study.selection.comparison import Comparisons, pair_verdicts
from balpoe.study.selection.race import affordable, race
from balpoe.study.storage.storage_record import driver_of


def status(study: str, *, runs: Path | str = RUNS) -> StudyStatus:
    """Return the state of the study, which may be running; nothing is written.

    Raises:
        UserError: there is no such study.
        CorruptFile: its storage is damaged.
        StorageError: its storage cannot be read.
    """
    spec, directory = find_study(study, local_runs(runs))
    trials = with_repeats(spec, directory, summaries(spec, directory))
    spent = spent_so_far(spec, directory, trials)
    known = candidates(trials)
    stand = race(spec, known)
    return StudyStatus(
        spec=spec,
        trials=trials,
        spent=spent,
        repeats_left=len(affordable(stand.to_do, hours_spent(spec.budget, spent))),
        pairs=pair_verdicts(stand.finalists, Comparisons(known, spec.repeats)),
        driver=driver_of(directory),
        now=time.time(),
    )
