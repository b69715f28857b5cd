"""The configurations of a study with all that is known of each: one value a seed and objective."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from balpoe.config import Choice
from balpoe.study.selection.feasibility import is_feasible
from balpoe.study.trials.record import TrialRecord


@dataclass(frozen=True, slots=True)
class Candidate:
    """The configuration of a COMPLETE trial that breaks no constraint.

    `objectives` are those of its COMPLETE repeats by their number, `failed` the repeats that
    failed and `begun` those that are neither.
    """

    number: int
    parameters: Mapping[str, Choice]
    objectives: Mapping[int, Mapping[str, float]]
    failed: frozenset[int] = frozenset()
    begun: frozenset[int] = frozenset()

    def up_to(self, seeds: int) -> Candidate:
        """What is known of it by its first `seeds` repeats."""
        return Candidate(
            self.number,
            self.parameters,
            {repeat: values for repeat, values in self.objectives.items() if repeat < seeds},
            frozenset(repeat for repeat in self.failed if repeat < seeds),
            frozenset(repeat for repeat in self.begun if repeat < seeds),
        )

    def values(self, objective: str) -> list[float]:
        """One objective, a value for each COMPLETE repeat."""
        return [values[objective] for values in self.objectives.values()]

    def mean(self, objective: str) -> float:
        """One objective on average over the COMPLETE repeats; exactly that of equal values."""
        return statistics.mean(self.values(objective))


@dataclass(frozen=True, slots=True)
class Standing:
    """A candidate as the front is told from: its means over seeds."""

    candidate: Candidate
    objectives: Mapping[str, float]
    state: Literal["COMPLETE"] = "COMPLETE"
    violations: Mapping[str, float] = field(default_factory=dict)


def standing(candidate: Candidate) -> Standing:
    """The candidate by its means."""
    first = next(iter(candidate.objectives.values()))
    return Standing(candidate, {name: candidate.mean(name) for name in first})


def candidate(
    number: int,
    parameters: Mapping[str, Choice],
    objectives: Mapping[str, float],
    repeats: Iterable[TrialRecord],
) -> Candidate:
    """The candidate of a trial with these `objectives` and further seeds."""
    further = {repeat.identity.repeat: repeat for repeat in repeats}
    complete = {n: r.objectives for n, r in sorted(further.items()) if r.objectives is not None}
    failed = frozenset(n for n, repeat in further.items() if repeat.state == "FAIL")
    begun = frozenset(further.keys() - complete.keys() - failed)
    return Candidate(number, parameters, {0: objectives, **complete}, failed, begun)


def candidates(records: Sequence[TrialRecord]) -> tuple[Candidate, ...]:
    """The candidates among `records`, which hold trials and their repeats."""
    repeats: defaultdict[int, list[TrialRecord]] = defaultdict(list)
    for record in records:
        if record.identity.repeat:
            repeats[record.identity.number].append(record)
    return tuple(
        candidate(number, trial.parameters, trial.objectives, repeats[number])
        for trial in records
        if trial.identity.repeat == 0 and is_feasible(trial) and trial.objectives is not None
        for number in (trial.identity.number,)
    )
