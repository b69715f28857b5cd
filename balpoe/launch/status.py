"""The verb `status`: how a study stands, read from the truth alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from balpoe.config import StudySpec
from balpoe.launch import RUNS
from balpoe.launch.lookup import study_of
from balpoe.launch.runs import local_runs
from balpoe.study.records.record_store import spent_so_far, summaries, with_repeats
from balpoe.study.search.spent_budget import SpentBudget, hours_spent
from balpoe.study.selection.candidates import candidates
from balpoe.study.selection.comparison import Verdict, pair_verdicts
from balpoe.study.selection.race import affordable, race
from balpoe.study.storage.lease import LeaseHolder
from balpoe.study.storage.study_storage import driver_of
from balpoe.study.trials.record import TrialRecord


@dataclass(frozen=True, slots=True)
class StudyStatus:
    """A study at the Unix time `now`.

    Of the trials and their repeats only RUNNING ones have a history: the epochs that are on
    disk. `spent` is what was spent of the budget up to the last moment of which they tell,
    `repeats_left` the further seeds that the present round of the race still lacks, `pairs` how
    many pairs of configurations on the front are separable. `driver` is who runs the study at
    that moment, None where nobody does.
    """

    spec: StudySpec
    trials: tuple[TrialRecord, ...]
    spent: SpentBudget
    repeats_left: int
    pairs: Mapping[Verdict, int]
    driver: LeaseHolder | None
    now: float


def status(study: str, *, runs: Path | str = RUNS) -> StudyStatus:
    """How the study stands; it may be running meanwhile, and nothing is written.

    Raises:
        UserError: there is no such study.
        CorruptFile: its storage is damaged.
        StorageError: its storage cannot be read.
    """
    spec, directory = study_of(study, local_runs(runs))
    trials = with_repeats(spec, directory, summaries(spec, directory))
    spent = spent_so_far(spec, directory, trials)
    known = candidates(trials)
    stand = race(spec, known)
    finalists = [candidate for candidate in known if candidate.number in stand.finalists]
    return StudyStatus(
        spec=spec,
        trials=trials,
        spent=spent,
        repeats_left=len(affordable(stand.to_do, hours_spent(spec.budget, spent))),
        pairs=pair_verdicts(finalists, spec.seed),
        driver=driver_of(directory),
        now=time.time(),
    )
