"""Figures over the seeds of one configuration: mean, spread and how many they were."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from balpoe.study.trials.record import TrialRecord


@dataclass(frozen=True, slots=True)
class OverSeeds:
    """A metric over `n` seeds; `sd` is the sample standard deviation, None for one seed."""

    mean: float
    sd: float | None
    n: int


def over_seeds(values: Sequence[float]) -> OverSeeds:
    """Mean and sample standard deviation of one value per seed, at least one."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    return OverSeeds(statistics.fmean(values), sd, len(values))


def objectives_over_seeds(records: Sequence[TrialRecord], number: int) -> dict[str, OverSeeds]:
    """The objectives of trial `number` over its repeats that are COMPLETE."""
    repeats = [
        record.objectives
        for record in records
        if record.identity.number == number and record.objectives is not None
    ]
    names = repeats[0] if repeats else ()
    return {name: over_seeds([objectives[name] for objectives in repeats]) for name in names}


def metrics_over_seeds(records: Sequence[TrialRecord], number: int) -> dict[str, OverSeeds]:
    """The metrics of trial `number` after its last epoch, over its repeats that are COMPLETE."""
    repeats = [
        record.history[-1].metrics
        for record in records
        if record.identity.number == number and record.state == "COMPLETE"
    ]
    names = [name for name in (repeats[0] if repeats else ()) if all(name in m for m in repeats)]
    return {name: over_seeds([metrics[name] for metrics in repeats]) for name in names}
