"""Target priors and expert biases against their definitions; refusals of impossible priors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from balpoe.errors import DataError, NonFiniteError
from balpoe.method.priors import (
    adjust_to_prior,
    class_prior,
    expert_lambdas,
    mean_lambda,
    target_prior,
)

class_counts = st.lists(st.integers(1, 5000), min_size=1, max_size=12)
biases = st.floats(-4, 4)


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_the_class_prior_is_each_classs_share_of_the_images() -> None:
    assert_close(class_prior((60, 30, 10)), tensor(0.6, 0.3, 0.1), rtol=0, atol=1e-15)
    assert torch.equal(class_prior(torch.tensor([60, 30, 10])), class_prior([60, 30, 10]))


def test_classes_without_images_are_named_and_refused() -> None:
    with pytest.raises(DataError, match=r"^class 1: 0 training images \(of 3 classes\).*lower"):
        class_prior((5, 0, 2))
    with pytest.raises(DataError, match=r"^classes 1, 2, 3, 4, 5 and 2 more: 0 training images"):
        class_prior([9, *[0] * 7])


def test_target_priors_have_their_closed_forms() -> None:
    prior_c = class_prior((16, 4))
    assert_close(target_prior(prior_c, 0.5), tensor(2 / 3, 1 / 3))
    assert_close(target_prior(prior_c, -1.0), tensor(0.2, 0.8))
    assert_close(target_prior(prior_c, 2.0), tensor(16 / 17, 1 / 17))


@given(counts=class_counts, data=st.data())
def test_a_bias_for_each_class_raises_each_share_to_its_own_power(
    counts: list[int], data: st.DataObject
) -> None:
    prior_c = class_prior(counts)
    lam_c = tensor(*data.draw(st.lists(biases, min_size=len(counts), max_size=len(counts))))
    powers_c = prior_c**lam_c
    assert_close(target_prior(prior_c, lam_c), powers_c / powers_c.sum())


@given(counts=class_counts, lam=biases)
def test_a_target_prior_is_a_distribution_and_1_gives_the_prior_and_0_the_uniform(
    counts: list[int], lam: float
) -> None:
    prior_c = class_prior(counts)
    assert_close(target_prior(prior_c, lam).sum(), torch.ones((), dtype=torch.float64))
    assert_close(target_prior(prior_c, 1.0), prior_c)
    assert_close(target_prior(prior_c, 0.0), torch.full_like(prior_c, 1 / len(counts)))


@given(counts=class_counts, first=st.floats(-2, 2), second=st.floats(-2, 2))
def test_the_bias_of_a_biased_prior_is_the_product_of_the_two(
    counts: list[int], first: float, second: float
) -> None:
    prior_c = class_prior(counts)
    assert_close(
        target_prior(target_prior(prior_c, first), second), target_prior(prior_c, first * second)
    )


def test_powers_that_overflow_do_not_spoil_a_target_prior() -> None:
    backward_c = target_prior(class_prior((10**6, 1)), -100.0)
    assert torch.equal(backward_c, tensor(0.0, 1.0))


@pytest.mark.parametrize(
    ("count", "spread", "centre", "lambdas"),
    [
        (3, 1.0, 0.0, (1.0, 0.0, -1.0)),
        (3, 2.0, 0.0, (2.0, 0.0, -2.0)),
        (3, 1.25, -0.25, (1.0, -0.25, -1.5)),
        (2, 1.0, 0.0, (1.0, -1.0)),
        (1, 1.0, 0.0, (0.0,)),
        (1, 1.0, 0.5, (0.5,)),
        (3, 0.0, 0.0, (0.0, 0.0, 0.0)),
    ],
)
def test_experts_get_the_biases_of_the_papers_recipes(
    count: int, spread: float, centre: float, lambdas: tuple[float, ...]
) -> None:
    assert expert_lambdas(count, spread, centre) == lambdas
    assert mean_lambda(lambdas) == centre


@given(count=st.integers(1, 40), spread=st.floats(0, 1e3))
def test_symmetric_experts_cancel_exactly_at_every_spread(count: int, spread: float) -> None:
    lambdas = expert_lambdas(count, spread)
    assert mean_lambda(lambdas) == 0.0
    assert lambdas == tuple(-lam for lam in reversed(lambdas))


@given(count=st.integers(2, 40), spread=st.floats(0.01, 10), centre=st.floats(-2, 2))
def test_experts_are_equidistant_from_the_top_to_the_bottom_of_the_spread(
    count: int, spread: float, centre: float
) -> None:
    lambdas = tensor(*expert_lambdas(count, spread, centre))
    assert_close(lambdas[[0, -1]], tensor(centre + spread, centre - spread))
    assert_close(lambdas.diff(), torch.full((count - 1,), -2 * spread / (count - 1)).double())


def random_logits(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(7))


def test_adjusting_multiplies_the_odds_by_the_ratio_of_the_priors() -> None:
    trained_c, test_c = tensor(0.5, 0.3, 0.2), tensor(0.1, 0.1, 0.8)
    logits_bc = random_logits(20, 3)
    weighted_bc = logits_bc.softmax(dim=-1) * test_c / trained_c
    adjusted_bc = adjust_to_prior(logits_bc, trained_prior_c=trained_c, test_prior_c=test_c)
    assert_close(adjusted_bc.softmax(dim=-1), weighted_bc / weighted_bc.sum(dim=1, keepdim=True))


def test_a_test_prior_equal_to_the_trained_one_changes_no_bit() -> None:
    prior_c = class_prior((60, 30, 7))
    logits = random_logits(4, 2, 3, dtype=torch.float32)
    assert torch.equal(
        adjust_to_prior(logits, trained_prior_c=prior_c, test_prior_c=prior_c), logits
    )


def test_adjusted_logits_keep_the_dtype_of_the_scorer() -> None:
    logits = random_logits(4, 2, 3, dtype=torch.float32)
    prior_c = tensor(0.2, 0.2, 0.6)
    adjusted = adjust_to_prior(logits, trained_prior_c=prior_c, test_prior_c=prior_c.flip(0))
    assert adjusted.dtype == torch.float32


def test_a_class_with_zero_test_prior_is_never_predicted_and_never_nan() -> None:
    logits_bc = random_logits(50, 3)
    logits_bc[:, 1] += 1e4
    adjusted_bc = adjust_to_prior(
        logits_bc, trained_prior_c=tensor(0.6, 0.3, 0.1), test_prior_c=tensor(0.25, 0.0, 0.75)
    )
    probabilities_bc = adjusted_bc.softmax(dim=-1)
    assert (adjusted_bc.argmax(dim=-1) != 1).all()
    assert (probabilities_bc[:, 1] == 0).all()
    assert_close(probabilities_bc.sum(dim=-1), torch.ones(50, dtype=torch.float64))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_logits_and_priors_are_refused(value: float) -> None:
    good, bad = tensor(0.5, 0.5), tensor(0.5, value)
    with pytest.raises(NonFiniteError, match="logits: 1 of 2 values are not finite"):
        adjust_to_prior(bad, trained_prior_c=good, test_prior_c=good)
    with pytest.raises(NonFiniteError, match="trained prior: 1 of 2"):
        adjust_to_prior(good, trained_prior_c=bad, test_prior_c=good)
    with pytest.raises(NonFiniteError, match="test prior: 1 of 2"):
        adjust_to_prior(good, trained_prior_c=good, test_prior_c=bad)


@pytest.mark.parametrize(
    ("trained_prior_c", "test_prior_c", "message"),
    [
        (tensor(0.5, 0.5), tensor(1.25, -0.25), r"class 1: the test prior is negative \(-0.25\)"),
        (tensor(0.5, 0.5), tensor(60, 40), "sums to 100, not 1: divide it by its sum"),
        (tensor(0.5, 0.5), tensor(0, 0), "sums to 0, not 1"),
        (tensor(1.0, 0.0), tensor(0.5, 0.5), "class 1: trained towards a prior of 0"),
    ],
)
def test_what_is_no_distribution_or_was_never_trained_is_refused(
    trained_prior_c: Tensor, test_prior_c: Tensor, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        adjust_to_prior(
            random_logits(2), trained_prior_c=trained_prior_c, test_prior_c=test_prior_c
        )
