"""What a study has spent of its budget: trials, hours on the clock, hours of devices.

The hours of earlier launches are worked out from the records: a launch lasted from its start
to the last moment of which any record tells, a trial within it between its first and its last.
What came to nothing because of a kill is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from balpoe.config import BudgetConfig, ResourcesConfig
from balpoe.study.trials.record import TrialRecord

_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Spent:
    """Trials that have ended or run, and seconds."""

    trials: int
    wall_seconds: float
    device_seconds: float


def budget_spent(budget: BudgetConfig, spent: Spent) -> bool:
    """Whether no further trial may begin."""
    return spent.trials >= (budget.trials or inf) or hours_spent(budget, spent)


def hours_spent(budget: BudgetConfig, spent: Spent) -> bool:
    """Whether the hours on the clock, or those of devices, are spent."""
    return (
        spent.wall_seconds >= (budget.wall_hours or inf) * _HOUR
        or spent.device_seconds >= (budget.device_hours or inf) * _HOUR
    )


def spent_by_launches(
    records: Sequence[TrialRecord], launches: Sequence[float], resources: ResourcesConfig
) -> Spent:
    """What earlier launches spent.

    Args:
        records: All trials, repeats included.
        launches: When each launch began; Unix seconds. They may be out of order, where the
            clock of a driver's host was wrong.
        resources: What a trial has.
    """
    finished = sum(record.state != "RUNNING" and record.identity.repeat == 0 for record in records)
    wall = device = 0.0
    for begin, end in pairwise([*sorted(launches), inf]):
        spans = [
            (min(moments), max(moments))
            for moments in (_moments(record, begin, end) for record in records)
            if moments
        ]
        wall += max((last for _, last in spans), default=begin) - begin
        device += sum(last - first for first, last in spans)
    return Spent(finished, wall, device * resources.devices_per_trial)


class Account:
    """What a study spends during a launch that begins now, on top of what it had spent."""

    def __init__(
        self, before: Spent, resources: ResourcesConfig, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._before = before
        self._devices = resources.devices_per_trial
        self._now = now
        self._launched = now()
        self._device_seconds = before.device_seconds
        self._since: dict[str, float] = {}

    def begin(self, trial_id: str) -> None:
        """A trial has got its devices."""
        self._since[trial_id] = self._now()

    def end(self, trial_id: str) -> None:
        """A trial has left its devices."""
        self._device_seconds += (self._now() - self._since.pop(trial_id)) * self._devices

    def spent(self, trials: int) -> Spent:
        """The account at this moment, with `trials` ended or running."""
        now = self._now()
        running = sum(now - since for since in self._since.values())
        return Spent(
            trials,
            self._before.wall_seconds + now - self._launched,
            self._device_seconds + running * self._devices,
        )


def _moments(record: TrialRecord, begin: float, end: float) -> list[float]:
    """The moments of a record within a launch."""
    return [moment for moment in _all_moments(record) if begin <= moment < end]


def _all_moments(record: TrialRecord) -> Iterator[float]:
    yield record.started
    yield from (result.unix_time for result in record.history)
    if record.ended is not None:
        yield record.ended
