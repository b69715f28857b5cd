"""Which configurations share a letter: those among which no two are separable.

The compact letter display (Piepho 2004): each largest set of configurations of which no two are
separable has a letter, and whoever is in it shows it. So two are separable exactly where they
have no letter in common.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from string import ascii_lowercase

from balpoe.study.selection.candidates import Candidate
from balpoe.study.selection.comparison import FEWEST_SEEDS, compare

_Set = frozenset[int]


def letter_display(front: Sequence[Candidate], seed: int) -> dict[int, str]:
    """The letters of each candidate with enough seeds, by its number; `a` has the first one."""
    tested = [each for each in front if len(each.objectives) >= FEWEST_SEEDS]
    alike = {
        place: frozenset(
            other
            for other, candidate in enumerate(tested)
            if other != place and compare(one, candidate, seed).verdict != "separable"
        )
        for place, one in enumerate(tested)
    }
    largest = sorted(map(sorted, _largest(alike, frozenset(), frozenset(alike), frozenset())))
    letters: dict[int, str] = {candidate.number: "" for candidate in tested}
    for index, places in enumerate(largest):
        for place in places:
            letters[tested[place].number] += _letter(index)
    return letters


def _largest(
    neighbours: Mapping[int, _Set], chosen: _Set, possible: _Set, done: _Set
) -> Iterator[_Set]:
    """The sets around `chosen` to which nothing can be added (Bron and Kerbosch 1973)."""
    if not possible and not done and chosen:
        yield chosen
    for vertex in sorted(possible):
        around = neighbours[vertex]
        yield from _largest(neighbours, chosen | {vertex}, possible & around, done & around)
        possible, done = possible - {vertex}, done | {vertex}


def _letter(index: int) -> str:
    """`a` to `z`, then `a1` to `z1` and on."""
    round_, place = divmod(index, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(round_) if round_ else "")
