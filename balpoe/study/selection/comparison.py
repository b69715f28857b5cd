"""Paired comparison of configurations over the seeds that they share.

The seed of a training depends on the study's seed and the repeat alone, so differences are paired
by repeat.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from string import ascii_lowercase
from typing import Any, Final, Literal

import numpy as np

from balpoe.evaluation.paired_bootstrap import Interval, paired_interval
from balpoe.study.selection.candidates import Candidate

Verdict = Literal["separable", "not separable", "not tested"]

VERDICTS: Final[tuple[Verdict, ...]] = ("separable", "not separable", "not tested")
FEWEST_SEEDS: Final = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of an objective between two configurations.

    `interval` is the 95 % confidence interval of the mean, None if there are too few seeds.
    """

    mean: float
    interval: Interval | None

    @property
    def verdict(self) -> Verdict:
        """The result of the test whether the interval excludes 0."""
        if self.interval is None:
            return "not tested"
        return "separable" if self.interval.excludes_zero else "not separable"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between trials `one` and `other` on their `n` shared seeds, by objective."""

    one: int
    other: int
    n: int
    differences: Mapping[str, Difference]

    @property
    def verdict(self) -> Verdict:
        """Separable if any objective is."""
        found = {difference.verdict for difference in self.differences.values()}
        return next(verdict for verdict in VERDICTS if verdict in found)


def compare(one: Candidate, other: Candidate, seed: int) -> Comparison:
    """Return the differences of two candidates; `seed` is that of the bootstrap resamples."""
    shared = sorted(one.objectives.keys() & other.objectives.keys())
    names = one.objectives[shared[0]]
    return Comparison(
        one.number,
        other.number,
        len(shared),
        {
            name: _difference(
                [one.objectives[s][name] - other.objectives[s][name] for s in shared], seed
            )
            for name in names
        },
    )


def as_plain(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain data for JSON, without the number of trial `one`."""
    return {
        "trial": comparison.other,
        "n": comparison.n,
        "verdict": comparison.verdict,
        "objectives": {
            name: {
                "difference": difference.mean,
                "low": difference.interval and difference.interval.low,
                "high": difference.interval and difference.interval.high,
                "verdict": difference.verdict,
            }
            for name, difference in comparison.differences.items()
        },
    }


def comparisons(number: int, rivals: Sequence[Candidate], seed: int) -> tuple[Comparison, ...]:
    """Return the comparisons of trial `number`, one of the `rivals`, with all others."""
    [one] = [rival for rival in rivals if rival.number == number]
    return tuple(compare(one, other, seed) for other in rivals if other.number != number)


def pair_verdicts(front: Sequence[Candidate], seed: int) -> dict[Verdict, int]:
    """Return how many pairs of candidates have each verdict."""
    verdicts = [compare(one, other, seed).verdict for one, other in combinations(front, 2)]
    return {verdict: verdicts.count(verdict) for verdict in VERDICTS}


def compact_letter_display(front: Sequence[Candidate], seed: int) -> dict[int, str]:
    """Return the letters of each candidate with enough seeds, by trial number.

    The compact letter display (Piepho 2004) has a letter for each maximal set of candidates of
    which no two are separable. Two candidates are separable exactly if they share no letter. The
    sets are ordered by the places of their candidates in `front`; the first one has the letter a.
    """
    tested = [each for each in front if len(each.objectives) >= FEWEST_SEEDS]
    not_separable = {
        place: frozenset(
            other
            for other, candidate in enumerate(tested)
            if other != place and compare(one, candidate, seed).verdict != "separable"
        )
        for place, one in enumerate(tested)
    }
    every, none = frozenset(not_separable), frozenset[int]()
    letters: dict[int, str] = {candidate.number: "" for candidate in tested}
    for index, places in enumerate(sorted(map(sorted, _cliques(not_separable, none, every, none)))):
        for place in places:
            letters[tested[place].number] += _letter(index)
    return letters


def _cliques(
    neighbours: Mapping[int, frozenset[int]],
    clique: frozenset[int],
    possible: frozenset[int],
    done: frozenset[int],
) -> Iterator[frozenset[int]]:
    """Yield the maximal cliques that contain `clique` (Bron and Kerbosch 1973)."""
    if not possible and not done and clique:
        yield clique
    for vertex in sorted(possible):
        around = neighbours[vertex]
        yield from _cliques(neighbours, clique | {vertex}, possible & around, done & around)
        possible, done = possible - {vertex}, done | {vertex}


def _letter(index: int) -> str:
    """Return `a` to `z`, then `a1` to `z1` and so on."""
    round_, place = divmod(index, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(round_) if round_ else "")


def _difference(differences: list[float], seed: int) -> Difference:
    tested = len(differences) >= FEWEST_SEEDS
    interval = paired_interval(differences, np.random.default_rng(seed)) if tested else None
    return Difference(statistics.fmean(differences), interval)
