"""The race for further seeds: which configurations of a study are trained with which of them.

All begin with the search's own seed. A configuration is a *finalist* where it is on the front
of the means over seeds. Two configurations are *close*

- with three shared seeds or more: where no objective separates them, that is where the 95 %
  bootstrap interval of the paired difference holds 0 for each;
- with fewer: where in every objective their means differ by at most `race.margin` standard
  errors, ``margin * sd * sqrt(1/n_a + 1/n_b)``; the sd is pooled over all configurations with
  two seeds or more. No interval could be trusted there, and a configuration that luck put off
  the front shall get its chance.

In every round seeds go to

- each finalist until it has three (or `repeats`, if that is less), for below nothing is tested;
- each pair of a finalist and any configuration close to it: to the one with fewer seeds, to both
  where they are even. Below three it gets all up to three at once, from then on one a round.

A configuration one of whose repeats failed leaves the race, though not the front. Copies of one
configuration are not told apart. The race is over when nobody gets a seed: the front is
separable, or all that is not has `repeats` seeds. Once the study's hours are spent only the
finalists' first three seeds, and what had begun, are still granted.

The race has no state: its rounds are replayed from what is recorded, and a round only knows the
seeds of the rounds before it. So an interruption changes no decision. (Racing configurations:
Maron and Moore 1994; with several objectives: Zhang et al., S-Race, 2013.)

What it cannot do: every round tests anew, so that over a whole race an interval of 95 % errs more
often than in 5 % of cases; and the search's own seed, by which a configuration came to the front,
stays among its seeds, so that a mean of few is still a little lucky.

C candidates, F finalists.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balpoe.config import StudySpec
from balpoe.study.selection.candidates import Candidate
from balpoe.study.selection.comparison import FEWEST_SEEDS, compare
from balpoe.study.selection.front import mean_front


@dataclass(frozen=True, slots=True)
class SeedToTrain:
    """A repeat to train; a `granted` one is trained even if the hours of the budget are spent."""

    number: int
    repeat: int
    granted: bool


@dataclass(frozen=True, slots=True)
class Race:
    """The state of the race, each configuration by the number of its trial.

    `finalists` are the configurations on the front without a failed repeat, `racing` those that
    get seeds in the present round, `to_do` the seeds of that round without a result, by repeat and
    then by number; both are empty once the race is over. `withdrawn` are the configurations with a
    failed repeat.
    """

    finalists: tuple[int, ...]
    racing: tuple[int, ...]
    to_do: tuple[SeedToTrain, ...]
    withdrawn: tuple[int, ...]


def race(spec: StudySpec, candidates: Sequence[Candidate]) -> Race:
    """Replay the race of the study `spec` between all its `candidates`."""
    seeds = {candidate.number: 1 for candidate in candidates}
    while True:
        known = [candidate.up_to(seeds[candidate.number]) for candidate in candidates]
        racers = [candidate for candidate in known if not candidate.failed]
        front = mean_front(known, spec.objectives)
        finalists = [candidate for candidate in front if not candidate.failed]
        goals = _goals(spec, racers, finalists)
        to_do = tuple(_missing(spec, candidates, finalists, goals))
        if to_do or not goals:
            return Race(
                tuple(each.number for each in finalists),
                tuple(sorted(goals)),
                to_do,
                tuple(candidate.number for candidate in known if candidate.failed),
            )
        seeds |= goals


def affordable(to_do: Iterable[SeedToTrain], hours_spent: bool) -> list[SeedToTrain]:
    """Return the seeds that may be trained."""
    return [seed for seed in to_do if seed.granted or not hours_spent]


def _goals(
    spec: StudySpec, racers: Sequence[Candidate], finalists: Sequence[Candidate]
) -> dict[int, int]:
    """Return how many seeds the candidates that train in the round have at its end, by number."""
    first = min(FEWEST_SEEDS, spec.repeats)
    goals = {each.number: first for each in finalists if _seeds(each) < first}
    for one, other in _close_pairs(spec, racers, finalists):
        fewer = min(_seeds(one), _seeds(other))
        if fewer < spec.repeats:
            goal = first if fewer < first else fewer + 1
            goals |= {each.number: goal for each in (one, other) if _seeds(each) == fewer}
    return goals


def _close_pairs(
    spec: StudySpec, racers: Sequence[Candidate], finalists: Sequence[Candidate]
) -> Iterable[tuple[Candidate, Candidate]]:
    """Yield each finalist with every candidate that is close to it."""
    numbers = [racer.number for racer in racers]
    by_means_fc = _close_by_means(spec, racers, [numbers.index(each.number) for each in finalists])
    for one, by_means_c in zip(finalists, by_means_fc, strict=True):
        for other, is_close in zip(racers, by_means_c.tolist(), strict=True):
            tested = min(_seeds(one), _seeds(other)) >= FEWEST_SEEDS
            if not (tested or is_close) or one.parameters == other.parameters:
                continue
            if not tested or compare(one, other, spec.seed).verdict != "separable":
                yield one, other


def _close_by_means(
    spec: StudySpec, racers: Sequence[Candidate], finalists: Sequence[int]
) -> NDArray[np.bool_]:
    """Return whether the means differ by at most the margin in every objective, [F, C]."""
    close_fc = np.ones((len(finalists), len(racers)), dtype=np.bool_)
    inverse_c = np.array([1 / _seeds(racer) for racer in racers])
    for objective in spec.objectives:
        sd = pooled_sd([racer.values(objective) for racer in racers])
        if sd is None:
            return np.zeros_like(close_fc)
        mean_c = np.array([racer.mean(objective) for racer in racers])
        error_fc = sd * np.sqrt(inverse_c[finalists, None] + inverse_c)
        close_fc &= np.abs(mean_c[finalists, None] - mean_c) <= spec.race.margin * error_fc
    return close_fc


def pooled_sd(groups: Iterable[Sequence[float]]) -> float | None:
    """Return the standard deviation within the groups, or None if none has two values."""
    several = [group for group in groups if len(group) > 1]
    if not several:
        return None
    squares = sum(statistics.variance(group) * (len(group) - 1) for group in several)
    return math.sqrt(squares / sum(len(group) - 1 for group in several))


def _missing(
    spec: StudySpec,
    candidates: Iterable[Candidate],
    finalists: Iterable[Candidate],
    goals: Mapping[int, int],
) -> Iterable[SeedToTrain]:
    """Return the seeds of a round without a result, by repeat; none after a failed repeat."""
    first = min(FEWEST_SEEDS, spec.repeats)
    final = {each.number for each in finalists}
    missing = [
        SeedToTrain(
            candidate.number,
            repeat,
            granted=(candidate.number in final and repeat < first) or repeat in candidate.begun,
        )
        for candidate in candidates
        if not candidate.up_to(goals.get(candidate.number, 0)).failed
        for repeat in range(1, goals.get(candidate.number, 0))
        if repeat not in candidate.objectives
    ]
    return sorted(missing, key=lambda seed: (seed.repeat, seed.number))


def _seeds(candidate: Candidate) -> int:
    return len(candidate.objectives)
