"""Paired comparison of configurations over the fresh seeds that they share.

The seed of a training depends on the study's seed and the repeat alone, so differences are paired
by repeat. Repeat 0, on which configurations were chosen, is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from string import ascii_lowercase
from typing import Any, Final, Literal

import numpy as np

from balpoe.study.selection.candidates import Candidate
from balpoe.study.selection.moderated_test import PairTests, paired_tests

Verdict = Literal["separable", "not separable", "not tested"]

VERDICTS: Final[tuple[Verdict, ...]] = ("separable", "not separable", "not tested")


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of an objective between two configurations.

    Attributes:
        mean: The mean over the shared fresh seeds, None if there is none.
        smallest: The smallest difference that could have been shown, which is half the width of
            the interval around the mean; None with fewer than three seeds.
        verdict: Whether the difference was shown; not tested if none below
            `moderated_test.LARGEST_USEFUL` standard deviations of a seed could have been.
    """

    mean: float | None
    smallest: float | None
    verdict: Verdict

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval of the mean, which excludes 0 exactly if the verdict is separable.

        It has the level of the last step of Holm's procedure.
        """
        if self.mean is None or self.smallest is None:
            return None
        return self.mean - self.smallest, self.mean + self.smallest

    @property
    def reversed(self) -> Difference:
        """The difference in the other direction."""
        return replace(self, mean=None if self.mean is None else 0.0 - self.mean)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between trials `one` and `other`, by objective.

    They are those of `one` minus those of `other` on their `n` shared fresh seeds.
    """

    one: int
    other: int
    n: int
    differences: Mapping[str, Difference]

    @property
    def verdict(self) -> Verdict:
        """Separable if any objective is."""
        found = {difference.verdict for difference in self.differences.values()}
        return next(verdict for verdict in VERDICTS if verdict in found)

    @property
    def reversed(self) -> Comparison:
        """The comparison in the other direction."""
        differences = {name: each.reversed for name, each in self.differences.items()}
        return Comparison(self.other, self.one, self.n, differences)


class Comparisons:
    """All comparisons between the candidates of a study, tested as one family.

    The family has every pair of candidates with a fresh seed, in every objective.

    Args:
        candidates: All candidates of the study.
        repeats: The number of seeds that a candidate can have in the end, with that of the search.
    """

    def __init__(self, candidates: Sequence[Candidate], repeats: int) -> None:
        self._objectives = tuple(candidates[0].objectives[0]) if candidates else ()
        fresh = [candidate for candidate in candidates if len(candidate.objectives) > 1]
        self._places = {candidate.number: place for place, candidate in enumerate(fresh)}
        self._tests = _tests(fresh, self._objectives, repeats) if len(fresh) > 1 else None

    def between(self, one: int, other: int) -> Comparison:
        """Return the comparison of two different trials."""
        untested = Difference(None, None, "not tested")
        if self._tests is None or not {one, other} <= self._places.keys():
            return Comparison(one, other, 0, dict.fromkeys(self._objectives, untested))
        first, second = self._places[one], self._places[other]
        if first > second:
            return self.between(other, one).reversed
        pair = first * len(self._places) - first * (first + 1) // 2 + second - first - 1
        differences = {
            name: difference_of(self._tests, pair, place)
            for place, name in enumerate(self._objectives)
        }
        return Comparison(one, other, int(self._tests.n_p[pair]), differences)

    def of(self, one: int, others: Sequence[Candidate]) -> tuple[Comparison, ...]:
        """Return the comparisons of trial `one` with the `others`, without that with itself."""
        return tuple(self.between(one, each.number) for each in others if each.number != one)


def as_plain(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain data for JSON, without the number of trial `one`."""
    return {
        "trial": comparison.other,
        "n": comparison.n,
        "verdict": comparison.verdict,
        "objectives": {
            name: plain_difference(difference)
            for name, difference in comparison.differences.items()
        },
    }


def plain_difference(difference: Difference) -> dict[str, Any]:
    """Return a difference as plain data for JSON."""
    return {
        "difference": difference.mean,
        "low": difference.interval and difference.interval[0],
        "high": difference.interval and difference.interval[1],
        "smallest": difference.smallest,
        "verdict": difference.verdict,
    }


def pair_verdicts(front: Sequence[int], compared: Comparisons) -> dict[Verdict, int]:
    """Return how many pairs of the trials on the front have each verdict."""
    verdicts = [compared.between(one, other).verdict for one, other in combinations(front, 2)]
    return {verdict: verdicts.count(verdict) for verdict in VERDICTS}


def compact_letter_display(front: Sequence[Candidate], compared: Comparisons) -> dict[int, str]:
    """Return the letters of each candidate that could be tested, by trial number.

    The compact letter display (Piepho 2004) has a letter for each maximal set of candidates of
    which no two are separable. Two candidates are separable exactly if they share no letter. The
    sets are ordered by the places of their candidates in `front`; the first one has the letter a.
    """
    tested = [
        candidate.number
        for candidate in front
        if any(each.verdict != "not tested" for each in compared.of(candidate.number, front))
    ]
    not_separable = {
        place: frozenset(
            other
            for other, number in enumerate(tested)
            if other != place and compared.between(one, number).verdict != "separable"
        )
        for place, one in enumerate(tested)
    }
    every, none = frozenset(not_separable), frozenset[int]()
    letters: dict[int, str] = dict.fromkeys(tested, "")
    for index, places in enumerate(sorted(map(sorted, _cliques(not_separable, none, every, none)))):
        for place in places:
            letters[tested[place]] += _letter(index)
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


def _tests(fresh: Sequence[Candidate], objectives: Sequence[str], repeats: int) -> PairTests:
    """Return the tests of all pairs; a repeat that a candidate lacks is NaN."""
    most = max(max(candidate.objectives) for candidate in fresh)
    values_krm = np.full((len(fresh), most, len(objectives)), math.nan)
    for place, candidate in enumerate(fresh):
        for repeat, values in candidate.objectives.items():
            if repeat > 0:
                values_krm[place, repeat - 1] = [values[name] for name in objectives]
    return paired_tests(values_krm, repeats - 1)


def difference_of(tests: PairTests, pair: int, place: int) -> Difference:
    """Return the difference of a pair in the objective at a place of the tests."""
    mean, smallest = float(tests.mean_pm[pair, place]), float(tests.half_width_pm[pair, place])
    verdict: Verdict = "not tested"
    if tests.is_separable_pm[pair, place]:
        verdict = "separable"
    elif tests.is_tested_pm[pair, place]:
        verdict = "not separable"
    return Difference(
        None if math.isnan(mean) else mean,
        smallest if math.isfinite(smallest) else None,
        verdict,
    )
