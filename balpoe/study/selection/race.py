"""The race for further seeds: which configurations of a study are trained with which of them.

All configurations begin with the search's own seed, repeat 0. A *finalist* is a configuration on
the front of the means over seeds. A *reference* is a known point of the study. A configuration is
*close* to a finalist if their means differ by at most `race.margin` standard errors in every
objective: ``margin * sd * sqrt(1/n_a + 1/n_b)``, with the standard deviation pooled over all
configurations that have two seeds or more.

In every round, seeds go to

- each finalist and each reference until it has three seeds, or `repeats` if that is less;
- each pair of finalists that are not separable, and each pair of a finalist and a configuration
  close to it: to the configuration with fewer seeds, to both if they have equally many. Below three
  seeds it gets all seeds up to three, otherwise one;
- each reference until it has as many seeds as the finalist that has most.

"Separable" is the strict test of `comparison`, "close" a looser rule: it decides only where seeds
are worth their cost (tests/benchmarks/racing.py). A configuration with a failed repeat leaves the
race, but not the front. Copies of a configuration are not compared. The race is over when no
configuration gets a seed. Once the hours of the budget are spent, only the first three seeds of
finalists and references, and seeds that have begun, are trained.

The race has no state. Its rounds are replayed from the records, and a round depends only on the
seeds of the rounds before it, so an interruption changes no decision. (Racing configurations:
Maron and Moore 1994; with several objectives: Zhang et al., S-Race, 2013.)

What the race cannot do: the front is chosen by means over all seeds. They include repeat 0, so the
mean of a configuration that was overestimated there stays too high while it has few seeds. A
configuration whose repeat 0 underestimates it gets no further seed, unless it is close to a
finalist.

C candidates, F finalists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balpoe.config import StudySpec
from balpoe.study.selection.candidates import Candidate, pooled_sd
from balpoe.study.selection.comparison import Comparisons
from balpoe.study.selection.front import mean_front

FIRST_SEEDS = 3


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
    reference_numbers = {each.number for each in references(spec, candidates)}
    while True:
        known = [candidate.up_to(seeds[candidate.number]) for candidate in candidates]
        racers = [candidate for candidate in known if not candidate.failed]
        front = mean_front(known, spec.objectives)
        finalists = [candidate for candidate in front if not candidate.failed]
        compared = [each for each in racers if each.number in reference_numbers]
        goals = _goals(spec, known, racers, finalists, compared)
        to_do = tuple(_missing(spec, candidates, [*finalists, *compared], goals))
        if to_do or not goals:
            return Race(
                tuple(each.number for each in finalists),
                tuple(sorted(goals)),
                to_do,
                tuple(candidate.number for candidate in known if candidate.failed),
            )
        seeds |= goals


def references(spec: StudySpec, candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Return the first candidate at each known point of the study."""
    points = [point.parameters for point in spec.points.points]
    found: dict[int, Candidate] = {}
    for candidate in candidates:
        if candidate.parameters in points:
            found.setdefault(points.index(candidate.parameters), candidate)
    return tuple(found.values())


def affordable(to_do: Iterable[SeedToTrain], hours_spent: bool) -> list[SeedToTrain]:
    """Return the seeds that may be trained."""
    return [seed for seed in to_do if seed.granted or not hours_spent]


def _goals(
    spec: StudySpec,
    known: Sequence[Candidate],
    racers: Sequence[Candidate],
    finalists: Sequence[Candidate],
    compared: Sequence[Candidate],
) -> dict[int, int]:
    """Return how many seeds the candidates that train in the round have at its end, by number.

    Args:
        spec: The study.
        known: All candidates with their seeds of earlier rounds.
        racers: Those without a failed repeat.
        finalists: The racers on the front.
        compared: The racers that are known points.
    """
    first = min(FIRST_SEEDS, spec.repeats)
    goals = {each.number: first for each in (*finalists, *compared) if _seeds(each) < first}
    for one, other in _open_pairs(spec, known, racers, finalists):
        fewer = min(_seeds(one), _seeds(other))
        if fewer < spec.repeats:
            goal = first if fewer < first else fewer + 1
            goals |= {each.number: goal for each in (one, other) if _seeds(each) == fewer}
    most = max((goals.get(each.number, _seeds(each)) for each in finalists), default=0)
    goals |= {each.number: most for each in compared if _seeds(each) < most}
    return goals


def _open_pairs(
    spec: StudySpec,
    known: Sequence[Candidate],
    racers: Sequence[Candidate],
    finalists: Sequence[Candidate],
) -> Iterable[tuple[Candidate, Candidate]]:
    """Yield the pairs of finalists that are not separable, and each finalist with those close."""
    numbers = [racer.number for racer in racers]
    final = {each.number for each in finalists}
    comparisons = Comparisons(known, spec.repeats)
    is_close_fc = _are_close(spec, racers, [numbers.index(each.number) for each in finalists])
    for one, is_close_c in zip(finalists, is_close_fc, strict=True):
        for other, is_close in zip(racers, is_close_c.tolist(), strict=True):
            if one.parameters == other.parameters:
                continue
            if other.number in final:
                if comparisons.between(one.number, other.number).verdict != "separable":
                    yield one, other
            elif is_close:
                yield one, other


def _are_close(
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


def _missing(
    spec: StudySpec,
    candidates: Iterable[Candidate],
    granted: Iterable[Candidate],
    goals: Mapping[int, int],
) -> Iterable[SeedToTrain]:
    """Return the seeds of a round without a result, by repeat; none after a failed repeat.

    The first seeds of `granted` candidates are granted.
    """
    first = min(FIRST_SEEDS, spec.repeats)
    first_granted = {each.number for each in granted}
    missing = [
        SeedToTrain(
            candidate.number,
            repeat,
            granted=repeat in candidate.begun
            or (candidate.number in first_granted and repeat < first),
        )
        for candidate in candidates
        if not candidate.up_to(goals.get(candidate.number, 0)).failed
        for repeat in range(1, goals.get(candidate.number, 0))
        if repeat not in candidate.objectives
    ]
    return sorted(missing, key=lambda seed: (seed.repeat, seed.number))


def _seeds(candidate: Candidate) -> int:
    return len(candidate.objectives)
