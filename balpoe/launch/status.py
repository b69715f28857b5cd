"""The verb `status`: how a study stands, read from the truth alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from balpoe.config import StudySpec
from balpoe.launch import RUNS
from balpoe.launch.lease import LeaseHolder
from balpoe.launch.lookup import study_of
from balpoe.launch.study_lease import driver_of
from balpoe.study.budget import Spent
from balpoe.study.outline import outlines, repeats_left, spent_so_far
from balpoe.study.record import TrialRecord


@dataclass(frozen=True, slots=True)
class StudyStatus:
    """A study at the Unix time `now`.

    Only RUNNING trials have a history: the epochs that are on disk. `spent` is what was spent
    of the budget up to the last moment of which the trials tell, `repeats_left` the further
    seeds that the front still lacks. `driver` is who runs the study
    at that moment, None where nobody does.
    """

    spec: StudySpec
    trials: tuple[TrialRecord, ...]
    spent: Spent
    repeats_left: int
    driver: LeaseHolder | None
    now: float


def status(study: str, *, runs: Path | str = RUNS) -> StudyStatus:
    """How the study stands; it may be running meanwhile, and nothing is written.

    Raises:
        UserError: there is no such study.
        CorruptFile: its storage is damaged.
        StorageError: its storage cannot be read.
    """
    spec, directory = study_of(study, Path(runs))
    trials = outlines(spec, directory)
    return StudyStatus(
        spec=spec,
        trials=trials,
        spent=spent_so_far(spec, directory, trials),
        repeats_left=repeats_left(spec, directory, trials),
        driver=driver_of(directory),
        now=time.time(),
    )
