"""The spent budget of a study (trials, wall hours and device hours), and its end.

The hours of earlier launches are computed from the records. A launch lasts from its start to the
last time that any record holds, a trial within it from the first to the last time of its record.
Work that was lost by a kill is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from balpoe.config import BudgetConfig, ResourcesConfig, StudySpec
from balpoe.study.search.planned_trials import is_exhausted
from balpoe.study.selection.candidates import candidates
from balpoe.study.selection.race import affordable, race
from balpoe.study.trials.record import TrialRecord

_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class SpentBudget:
    """The number of ended and running trials, and the wall and device seconds."""

    trials: int
    wall_seconds: float
    device_seconds: float


def budget_spent(budget: BudgetConfig, spent: SpentBudget) -> bool:
    """Return whether no further trial may begin."""
    return spent.trials >= (budget.trials or inf) or hours_spent(budget, spent)


def hours_spent(budget: BudgetConfig, spent: SpentBudget) -> bool:
    """Return whether the wall hours or the device hours are spent."""
    return (
        spent.wall_seconds >= (budget.wall_hours or inf) * _HOUR
        or spent.device_seconds >= (budget.device_hours or inf) * _HOUR
    )


def spent_by_launches(
    records: Sequence[TrialRecord], launches: Sequence[float], resources: ResourcesConfig
) -> SpentBudget:
    """Return the budget that earlier launches spent.

    Args:
        records: All trials, repeats included.
        launches: The start of each launch in Unix seconds. They may be out of order if the clock
            of a driver's host was wrong.
        resources: The resources of a trial.
    """
    finished = sum(record.state != "RUNNING" and record.identity.repeat == 0 for record in records)
    wall = device = 0.0
    for begin, end in pairwise([*sorted(launches), inf]):
        spans = [
            (min(times), max(times))
            for record in records
            if (times := [t for t in _times(record) if begin <= t < end])
        ]
        wall += max((last for _, last in spans), default=begin) - begin
        device += sum(last - first for first, last in spans)
    return SpentBudget(finished, wall, device * resources.devices_per_trial)


def is_finished(spec: StudySpec, records: Sequence[TrialRecord], launches: Sequence[float]) -> bool:
    """Return whether a study with these trials, their repeats and these launches is over."""
    return is_over(spec, records, spent_by_launches(records, launches, spec.resources))


def is_over(spec: StudySpec, records: Sequence[TrialRecord], spent: SpentBudget) -> bool:
    """Return whether the search is over and the race has no seed left to train.

    `records` holds all trials and their repeats, `spent` is what they spent.
    """
    if not search_is_over(spec, records, spent):
        return False
    return not affordable(race(spec, candidates(records)).to_do, hours_spent(spec.budget, spent))


def search_is_over(spec: StudySpec, records: Sequence[TrialRecord], spent: SpentBudget) -> bool:
    """Return whether all trials have ended and no new one may begin, without further seeds."""
    searched = [record for record in records if record.identity.repeat == 0]
    if any(record.state == "RUNNING" for record in searched):
        return False
    tried = (record.parameters for record in searched)
    return budget_spent(spec.budget, spent) or is_exhausted(spec, tried)


class Account:
    """The spent budget during a launch that begins now, including what was spent `before` it."""

    def __init__(
        self,
        before: SpentBudget,
        resources: ResourcesConfig,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._before = before
        self._devices = resources.devices_per_trial
        self._now = now
        self._launched = now()
        self._device_seconds = before.device_seconds
        self._since: dict[str, float] = {}

    def begin(self, trial_id: str) -> None:
        """Start counting the devices of a trial."""
        self._since[trial_id] = self._now()

    def end(self, trial_id: str) -> None:
        """Stop counting the devices of a trial."""
        self._device_seconds += (self._now() - self._since.pop(trial_id)) * self._devices

    def spent(self, trials: int) -> SpentBudget:
        """Return the budget spent so far; `trials` have ended or run."""
        now = self._now()
        running = sum(now - since for since in self._since.values())
        return SpentBudget(
            trials,
            self._before.wall_seconds + now - self._launched,
            self._device_seconds + running * self._devices,
        )


def _times(record: TrialRecord) -> list[float]:
    """Return the times that a record holds, in Unix seconds."""
    ended = [] if record.ended is None else [record.ended]
    return [record.started, *(result.unix_time for result in record.history), *ended]
