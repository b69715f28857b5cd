"""The command `status`: the state of a study, read from its storage and files, once or again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from balpoe.launch import RUNS
from balpoe.launch.runs import find_study, local_runs
from balpoe.reporting.study_status import StudyStatus
from balpoe.study.records.record_store import spent_so_far, summaries, with_repeats
from balpoe.study.records.running_epochs import with_running_epochs
from balpoe.study.records.trial_summaries import stored_floors
from balpoe.study.search.spent_budget import hours_spent
from balpoe.study.selection.candidates import candidates
from balpoe.study.selection.comparison import Comparisons, pair_verdicts
from balpoe.study.selection.race import affordable, race
from balpoe.study.storage.storage_record import driver_of

_POLL_SECONDS, _LONGEST_POLL_SECONDS = 1.0, 10.0
_REST_PER_READ = 3.0
"""Reading a study with thousands of trials takes seconds: it may use a quarter of a core."""


def status(study: str, *, runs: Path | str = RUNS) -> StudyStatus:
    """Return the state of the study, which may be running; nothing is written.

    Raises:
        UserError: there is no such study.
        CorruptFile: its storage is damaged.
        StorageError: its storage cannot be read.
    """
    spec, directory = find_study(study, local_runs(runs))
    driver = driver_of(directory)
    trials = with_repeats(spec, directory, summaries(spec, directory))
    if driver is not None:  # the file of a driver that was killed is out of date
        trials = with_running_epochs(directory, trials)
    spent = spent_so_far(spec, directory, trials)
    known = candidates(trials)
    stand = race(spec, known)
    found = StudyStatus(
        spec=spec,
        trials=trials,
        spent=spent,
        repeats_left=len(affordable(stand.to_do, hours_spent(spec.budget, spent))),
        pairs=pair_verdicts(stand.finalists, Comparisons(known, spec.repeats)),
        driver=driver,
        now=time.time(),
    )
    return replace(found, floors=stored_floors(directory, found.best_trials))


def follow_status(study: str, *, runs: Path | str = RUNS) -> Iterator[StudyStatus]:
    """Yield the state of the study about every second, the last time after its driver has ended.

    Raises:
        UserError: there is no such study.
        CorruptFile: its storage is damaged.
        StorageError: its storage cannot be read.
    """
    while True:
        began = time.monotonic()
        found = status(study, runs=runs)
        yield found
        if found.driver is None:
            return
        rest = _REST_PER_READ * (time.monotonic() - began)
        time.sleep(min(max(rest, _POLL_SECONDS), _LONGEST_POLL_SECONDS))
