"""Letters of a front: by hand, and against all verdicts of random fronts."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from balpoe.study.selection.candidates import Candidate
from balpoe.study.selection.comparison import Comparisons, compact_letter_display

REPEATS = 9


def candidate(number: int, *accuracies: float) -> Candidate:
    objectives = {seed: {"val/accuracy": value} for seed, value in enumerate(accuracies)}
    return Candidate(number, {"mixup.alpha": number}, objectives)


def front_of(levels: list[float], seed: int = 0, seeds: int = REPEATS) -> list[Candidate]:
    """Candidates with these accuracies, whose seeds scatter by 0.01."""
    noise = np.random.default_rng(seed).normal(0, 0.01, (len(levels), seeds))
    values = (np.array(levels)[:, None] + noise).tolist()
    return [candidate(number, *own) for number, own in enumerate(values)]


def test_a_candidate_between_two_separable_ones_has_the_letters_of_both() -> None:
    front = front_of([0.93, 0.915, 0.90], seed=3)
    assert compact_letter_display(front, Comparisons(front, REPEATS)) == {0: "a", 1: "ab", 2: "b"}


def test_a_candidate_that_could_not_be_tested_has_no_letter() -> None:
    front = [*front_of([0.9, 0.9]), candidate(2, 0.9, 0.8, 0.9), candidate(3, 0.9)]
    assert compact_letter_display(front, Comparisons(front, REPEATS)) == {0: "a", 1: "a"}
    assert compact_letter_display(front[2:], Comparisons(front[2:], REPEATS)) == {}


@given(seed=st.integers(0, 10_000), count=st.integers(2, 7))
@settings(max_examples=25, deadline=None)
def test_two_share_a_letter_exactly_if_they_are_not_separable(seed: int, count: int) -> None:
    front = front_of([0.9 + 0.01 * place for place in range(count)], seed)
    compared = Comparisons(front, REPEATS)
    letters = compact_letter_display(front, compared)
    for one, other in combinations(front, 2):
        shared = set(letters[one.number]) & set(letters[other.number])
        is_separable = compared.between(one.number, other.number).verdict == "separable"
        assert bool(shared) != is_separable
