from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from balpoe.errors import DataError
from balpoe.evaluation.post_hoc import balanced_subsets
from balpoe.method.priors import ExpertPriors, class_prior, expert_lambdas, mean_lambda
from tests.scalar_priors import scalar_priors

PRIOR_C = class_prior((500, 70, 9))


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
    assert balanced_subsets(scalar_priors(PRIOR_C, lambdas)) == subsets


@given(count=st.integers(1, 9), spread=st.floats(0.01, 3))
def test_equidistant_experts_have_all_of_them_and_every_mirrored_pair(
    count: int, spread: float
) -> None:
    lambdas = expert_lambdas(count, spread)
    subsets = balanced_subsets(scalar_priors(PRIOR_C, lambdas))
    assert tuple(range(count)) in subsets
    assert all((e, count - 1 - e) in subsets for e in range(count // 2))
    for subset in subsets:
        assert mean_lambda([lambdas[e] for e in subset]) == pytest.approx(0, abs=1e-8)
    assert len(set(subsets)) == len(subsets)


def test_too_many_experts_are_refused() -> None:
    with pytest.raises(DataError, match=r"subsets of 10 experts: there are 2\^10"):
        balanced_subsets(scalar_priors(PRIOR_C, expert_lambdas(10, 1.0)))


def test_experts_for_any_priors_are_balanced_where_their_product_is_uniform() -> None:
    skewed_c, other_c = torch.tensor([0.0, 1.0, 3.0]), torch.tensor([2.0, -1.0, 0.5])
    constants_e1 = torch.tensor([[0.0], [7.0], [-2.0]])  # they are no part of a prior
    log_priors_ec = torch.stack([skewed_c, other_c, -skewed_c - other_c]).double() + constants_e1
    priors = ExpertPriors(log_priors_ec, PRIOR_C.log())
    assert balanced_subsets(priors) == ((0, 1, 2),)
    assert_close(priors.of_product(), torch.full((3,), 1 / 3, dtype=torch.float64))
    pair_c = (skewed_c + other_c) / 2
    assert_close(priors.of_product((0, 1)), pair_c.double().softmax(dim=0))
