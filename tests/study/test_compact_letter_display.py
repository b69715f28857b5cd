from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from balpoe.study.selection.candidates import Candidate
from balpoe.study.selection.comparison import compact_letter_display, compare


def candidate(number: int, *accuracies: float) -> Candidate:
    objectives = {seed: {"val/accuracy": value} for seed, value in enumerate(accuracies)}
    return Candidate(number, {"mixup.alpha": number}, objectives)


def test_who_is_between_two_that_are_separable_has_the_letters_of_both() -> None:
    low = candidate(0, 0.90, 0.90, 0.90)
    middle = candidate(1, 0.89, 0.93, 0.91)
    high = candidate(2, 0.92, 0.92, 0.92)
    assert compact_letter_display([high, middle, low], seed=0) == {2: "a", 1: "ab", 0: "b"}


def test_with_fewer_than_three_seeds_there_is_no_letter() -> None:
    tested = candidate(0, 0.9, 0.9, 0.9)
    assert compact_letter_display([candidate(1, 0.9, 0.8), tested], seed=0) == {0: "a"}
    assert compact_letter_display([candidate(1, 0.9, 0.8)], seed=0) == {}


@given(seed=st.integers(0, 10_000), count=st.integers(2, 7))
@settings(max_examples=25, deadline=None)
def test_two_share_a_letter_exactly_where_they_are_not_separable(seed: int, count: int) -> None:
    accuracies = np.random.default_rng(seed).normal(0.9, 0.01, (count, 3))
    accuracies += 0.01 * np.arange(count)[:, None]
    front = [candidate(number, *values) for number, values in enumerate(accuracies.tolist())]
    letters = compact_letter_display(front, seed=0)
    for one, other in combinations(front, 2):
        shared = set(letters[one.number]) & set(letters[other.number])
        assert bool(shared) == (compare(one, other, seed=0).verdict != "separable")
