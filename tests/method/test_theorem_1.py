"""Theorem 1 and Corollary 1.1 of the paper on finite joint distributions, without networks.

X points, E experts, C classes. Expert e is exact when softmax(s_e) = P(y|x); its scorer is then
f_e = s_e − log π + λ_e·log π (paper, eq. 11), here with an arbitrary constant for each point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from balpoe.method.losses.logit_adjustment.adjusted_losses import (
    expert_losses,
    logit_adjustments,
    product_of_experts,
)
from balpoe.method.priors import (
    adjust_to_prior,
    class_prior,
    expert_lambdas,
    mean_lambda,
    target_prior,
)

seeds = st.integers(0, 2**32 - 1)
expert_counts = st.integers(1, 7)
spreads = st.floats(0, 2)


@dataclass(frozen=True, eq=False)
class Joint:
    """P(x, y) = P(x|y)·π_y on X points."""

    likelihood_xc: Tensor
    prior_c: Tensor

    def posterior(self, prior_c: Tensor) -> Tensor:
        """P(y|x) where the classes have the given prior instead."""
        joint_xc = self.likelihood_xc * prior_c
        return joint_xc / joint_xc.sum(dim=1, keepdim=True)

    def balanced_error(self, decisions_x: Tensor) -> float:
        """Mean over classes of the probability that an image of the class is misjudged."""
        points = torch.arange(len(decisions_x))
        right = self.likelihood_xc[points, decisions_x].sum()
        return 1 - float(right) / len(self.prior_c)


def random_joint(generator: np.random.Generator, points: int = 11, classes: int = 5) -> Joint:
    likelihood_cx = torch.from_numpy(generator.dirichlet(np.ones(points), classes))
    counts_c = np.sort(generator.integers(1, 1000, classes))[::-1]
    return Joint(likelihood_cx.T, class_prior(counts_c.tolist()))


def exact_experts(
    joint: Joint, lambdas: tuple[float, ...] | Tensor, generator: np.random.Generator
) -> Tensor:
    """Logits [X, E, C] of exact experts; a constant per point and expert must not matter."""
    constants_xe1 = torch.from_numpy(
        generator.normal(0, 5, (len(joint.likelihood_xc), len(lambdas), 1))
    )
    scores_xec = joint.posterior(joint.prior_c).log()[:, None] + constants_xe1
    return scores_xec - logit_adjustments(joint.prior_c, lambdas)


@given(seed=seeds, count=expert_counts, spread=spreads, centre=st.floats(-2, 2))
def test_theorem_1_exact_experts_stand_for_the_prior_of_their_mean_bias(
    seed: int, count: int, spread: float, centre: float
) -> None:
    generator = np.random.default_rng(seed)
    joint = random_joint(generator)
    lambdas = expert_lambdas(count, spread, centre)
    product_xc = product_of_experts(exact_experts(joint, lambdas, generator))
    target_c = target_prior(joint.prior_c, mean_lambda(lambdas))
    assert_close(product_xc.softmax(dim=1), joint.posterior(target_c))


@given(seed=seeds, count=expert_counts)
def test_theorem_1_holds_for_a_bias_of_each_class(seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    joint = random_joint(generator)
    lambdas_ec = torch.from_numpy(generator.uniform(-3, 3, (count, len(joint.prior_c))))
    product_xc = product_of_experts(exact_experts(joint, lambdas_ec, generator))
    target_c = target_prior(joint.prior_c, lambdas_ec.mean(dim=0))
    assert_close(product_xc.softmax(dim=1), joint.posterior(target_c))


@given(seed=seeds, count=expert_counts, spread=spreads)
def test_corollary_1_1_biases_of_mean_0_decide_for_the_largest_likelihood(
    seed: int, count: int, spread: float
) -> None:
    generator = np.random.default_rng(seed)
    joint = random_joint(generator)
    experts_xec = exact_experts(joint, expert_lambdas(count, spread), generator)
    decisions_x = product_of_experts(experts_xec).argmax(dim=1)
    assert torch.equal(decisions_x, joint.likelihood_xc.argmax(dim=1))


@given(seed=seeds)
def test_corollary_1_1_holds_where_biases_cancel_within_each_class(seed: int) -> None:
    generator = np.random.default_rng(seed)
    joint = random_joint(generator)
    lambdas_ec = torch.from_numpy(generator.uniform(-2, 2, (4, len(joint.prior_c))))
    experts_xec = exact_experts(joint, lambdas_ec - lambdas_ec.mean(dim=0), generator)
    decisions_x = product_of_experts(experts_xec).argmax(dim=1)
    assert torch.equal(decisions_x, joint.likelihood_xc.argmax(dim=1))


def joint_that_misleads(prior_c: Tensor, mean_bias: float) -> Joint:
    """Two points and two classes for which a product with this mean bias errs at the first.

    With r = P_λ̄(0)/P_λ̄(1), the first point's likelihood ratio is 1/√r: the balanced rule
    follows it, but the product sees r·1/√r = √r, which lies on the other side of 1.
    """
    head, tail = target_prior(prior_c, mean_bias).sqrt().tolist()
    first_c = torch.tensor([tail, head], dtype=torch.float64) / (head + tail)
    return Joint(torch.stack([first_c, 1 - first_c]), prior_c)


@given(
    counts=st.tuples(st.integers(200, 5000), st.integers(1, 100)),
    mean_bias=st.floats(-2, 2).filter(lambda bias: abs(bias) > 0.01),
    count=expert_counts,
    spread=spreads,
)
def test_for_every_other_mean_bias_there_is_a_joint_that_misleads_the_product(
    counts: tuple[int, int], mean_bias: float, count: int, spread: float
) -> None:
    joint = joint_that_misleads(class_prior(counts), mean_bias)
    generator = np.random.default_rng(0)
    balanced_rule_x = joint.likelihood_xc.argmax(dim=1)

    biased_xec = exact_experts(joint, expert_lambdas(count, spread, mean_bias), generator)
    biased_x = product_of_experts(biased_xec).argmax(dim=1)
    assert biased_x[0] != balanced_rule_x[0]
    assert joint.balanced_error(biased_x) > joint.balanced_error(balanced_rule_x)

    balanced_xec = exact_experts(joint, expert_lambdas(count, spread), generator)
    assert torch.equal(product_of_experts(balanced_xec).argmax(dim=1), balanced_rule_x)


def test_plain_cross_entropy_misses_a_tail_class_that_the_likelihood_favours() -> None:
    joint = Joint(
        torch.tensor([[0.4, 0.6], [0.6, 0.4]], dtype=torch.float64), class_prior((90, 10))
    )
    generator = np.random.default_rng(0)
    plain_xc = product_of_experts(exact_experts(joint, (1.0,), generator))
    balanced_xc = product_of_experts(exact_experts(joint, (1.0, 0.0, -1.0), generator))
    assert plain_xc.argmax(dim=1).tolist() == [0, 0]
    assert balanced_xc.argmax(dim=1).tolist() == [1, 0]
    assert joint.balanced_error(plain_xc.argmax(dim=1)) == pytest.approx(0.5)
    assert joint.balanced_error(balanced_xc.argmax(dim=1)) == pytest.approx(0.4)


@given(seed=seeds, count=expert_counts, centre=st.floats(-2, 2), absent=st.integers(0, 4))
def test_a_known_test_prior_gives_its_exact_posterior_whatever_the_mean_bias(
    seed: int, count: int, centre: float, absent: int
) -> None:
    generator = np.random.default_rng(seed)
    joint = random_joint(generator)
    test_prior = generator.dirichlet(np.ones(5))
    test_prior[absent] = 0
    test_prior_c = torch.from_numpy(test_prior / test_prior.sum())
    lambdas = expert_lambdas(count, 1.0, centre)
    adjusted_xc = adjust_to_prior(
        product_of_experts(exact_experts(joint, lambdas, generator)),
        trained_prior_c=target_prior(joint.prior_c, mean_lambda(lambdas)),
        test_prior_c=test_prior_c,
    )
    assert_close(adjusted_xc.softmax(dim=1), joint.posterior(test_prior_c))


def centred(logits_xec: Tensor) -> Tensor:
    """Logits without the constant of each point and expert, which no loss can see."""
    return logits_xec - logits_xec.mean(dim=2, keepdim=True)


@pytest.mark.parametrize("seed", range(3))
def test_minimising_the_losses_makes_experts_exact(seed: int) -> None:
    """A training set of images at few points, and a free logit for each point and class."""
    counts_xc = np.random.default_rng(seed).integers(1, 30, (4, 3)) * np.array([20, 5, 1])
    points_b, labels_b = (
        torch.from_numpy(np.repeat(index, counts_xc.ravel()))
        for index in np.indices(counts_xc.shape).reshape(2, -1)
    )
    table_xc = torch.from_numpy(counts_xc).double()
    joint = Joint(table_xc / table_xc.sum(dim=0), class_prior(table_xc.sum(dim=0)))
    lambdas = (1.0, 0.0, -1.0)
    adjustments_ec = logit_adjustments(joint.prior_c, lambdas)
    logits_xec = torch.zeros(4, 3, 3, dtype=torch.float64, requires_grad=True)
    optimiser: torch.optim.Optimizer = torch.optim.LBFGS(
        [logits_xec],
        max_iter=500,
        tolerance_grad=1e-10,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def expected_loss() -> float:
        loss = expert_losses(logits_xec[points_b], adjustments_ec, labels_b).sum()
        (logits_xec.grad,) = torch.autograd.grad(loss, logits_xec)
        return float(loss.detach())

    optimiser.step(expected_loss)
    exact_xec = torch.stack(
        [joint.likelihood_xc.log() + lam * joint.prior_c.log() for lam in lambdas], dim=1
    )
    assert_close(centred(logits_xec.detach()), centred(exact_xec), rtol=0, atol=1e-5)
    product_xc = product_of_experts(logits_xec.detach())
    assert torch.equal(product_xc.argmax(dim=1), joint.likelihood_xc.argmax(dim=1))
