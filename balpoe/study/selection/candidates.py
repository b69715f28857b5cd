"""The feasible configurations of a study and their results over the seeds of their repeats."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from balpoe.config import Choice
from balpoe.study.trials.record import TrialRecord


def is_feasible(trial: TrialRecord) -> bool:
    """Return whether a trial is COMPLETE and violates no constraint."""
    return trial.state == "COMPLETE" and not trial.violations


@dataclass(frozen=True, slots=True)
class Candidate:
    """The configuration of a feasible trial.

    `objectives` holds the values of each COMPLETE repeat by its number (repeat 0 is the trial
    itself), `failed` the numbers of the failed repeats, `begun` those of the unfinished ones.
    """

    number: int
    parameters: Mapping[str, Choice]
    objectives: Mapping[int, Mapping[str, float]]
    failed: frozenset[int] = frozenset()
    begun: frozenset[int] = frozenset()

    def up_to(self, seeds: int) -> Candidate:
        """Return the candidate restricted to its first `seeds` repeats."""
        return Candidate(
            self.number,
            self.parameters,
            {repeat: values for repeat, values in self.objectives.items() if repeat < seeds},
            frozenset(repeat for repeat in self.failed if repeat < seeds),
            frozenset(repeat for repeat in self.begun if repeat < seeds),
        )

    def values(self, objective: str) -> list[float]:
        """Return the values of an objective, one for each COMPLETE repeat."""
        return [values[objective] for values in self.objectives.values()]

    def mean(self, objective: str) -> float:
        """Return the mean of an objective over the COMPLETE repeats; exact for equal values."""
        return statistics.mean(self.values(objective))


def candidates(records: Sequence[TrialRecord]) -> tuple[Candidate, ...]:
    """Return the candidates among `records`, which hold trials and their repeats."""
    repeats: defaultdict[int, list[TrialRecord]] = defaultdict(list)
    for record in records:
        if record.identity.repeat:
            repeats[record.identity.number].append(record)
    return tuple(
        _candidate(trial, trial.objectives, repeats[trial.identity.number])
        for trial in records
        if trial.identity.repeat == 0 and is_feasible(trial) and trial.objectives is not None
    )


def _candidate(
    trial: TrialRecord, objectives: Mapping[str, float], repeats: Iterable[TrialRecord]
) -> Candidate:
    further = {repeat.identity.repeat: repeat for repeat in repeats}
    complete = {n: r.objectives for n, r in sorted(further.items()) if r.objectives is not None}
    failed = frozenset(n for n, repeat in further.items() if repeat.state == "FAIL")
    begun = frozenset(further.keys() - complete.keys() - failed)
    return Candidate(
        trial.identity.number, trial.parameters, {0: objectives, **complete}, failed, begun
    )


@dataclass(frozen=True, slots=True)
class OverSeeds:
    """A metric over `n` seeds; `sd` is the sample standard deviation, None for one seed."""

    mean: float
    sd: float | None
    n: int


def over_seeds(values: Sequence[float]) -> OverSeeds:
    """Return the mean and sample standard deviation of `values`, at least one."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    return OverSeeds(statistics.fmean(values), sd, len(values))


def pooled_sd(groups: Iterable[Sequence[float]]) -> float | None:
    """Return the standard deviation within the groups, or None if none has two values."""
    several = [group for group in groups if len(group) > 1]
    if not several:
        return None
    squares = math.fsum(float(np.var(group)) * len(group) for group in several)
    return math.sqrt(squares / sum(len(group) - 1 for group in several))


def objectives_over_seeds(records: Iterable[TrialRecord], number: int) -> dict[str, OverSeeds]:
    """Return the objectives of trial `number` over its COMPLETE repeats."""
    return _each_over_seeds(
        [
            record.objectives
            for record in records
            if record.identity.number == number and record.objectives is not None
        ]
    )


def metrics_over_seeds(records: Iterable[TrialRecord], number: int) -> dict[str, OverSeeds]:
    """Return the metrics of trial `number` after its last epoch, over its COMPLETE repeats."""
    return _each_over_seeds(
        [
            record.history[-1].metrics
            for record in records
            if record.identity.number == number and record.state == "COMPLETE"
        ]
    )


def _each_over_seeds(repeats: Sequence[Mapping[str, float]]) -> dict[str, OverSeeds]:
    """Return the statistics of each value that all repeats have."""
    names = [name for name in (repeats[0] if repeats else ()) if all(name in r for r in repeats)]
    return {name: over_seeds([repeat[name] for repeat in repeats]) for name in names}
