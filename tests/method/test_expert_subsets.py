from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balpoe.errors import DataError
from balpoe.evaluation.post_hoc import balanced_subsets
from balpoe.method.priors import expert_lambdas, mean_lambda


@pytest.mark.parametrize(
    ("lambdas", "subsets"),
    [
        ((0.0,), ((0,),)),
        ((1.0,), ()),
        ((1.0, -1.0), ((0, 1),)),
        ((1.0, 0.0, -1.0), ((1,), (0, 2), (0, 1, 2))),
        ((1.0, -0.25, -1.5), ()),
        ((2.0, -1.0, -1.0), ((0, 1, 2),)),
        ((0.1, 0.2, -0.3), ((0, 1, 2),)),  # 0.1 + 0.2 - 0.3 is 5.6e-17
    ],
)
def test_the_subsets_with_mean_0_are_found(
    lambdas: tuple[float, ...], subsets: tuple[tuple[int, ...], ...]
) -> None:
    assert balanced_subsets(lambdas) == subsets


@given(count=st.integers(1, 9), spread=st.floats(0.01, 3))
def test_equidistant_experts_have_all_of_them_and_every_mirrored_pair(
    count: int, spread: float
) -> None:
    lambdas = expert_lambdas(count, spread)
    subsets = balanced_subsets(lambdas)
    assert tuple(range(count)) in subsets
    assert all((e, count - 1 - e) in subsets for e in range(count // 2))
    for subset in subsets:
        assert mean_lambda([lambdas[e] for e in subset]) == pytest.approx(0, abs=1e-8)
    assert len(set(subsets)) == len(subsets)


def test_too_many_experts_are_refused() -> None:
    with pytest.raises(DataError, match=r"subsets of 10 experts: there are 2\^10"):
        balanced_subsets(expert_lambdas(10, 1.0))
