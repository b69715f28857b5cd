"""The logit-adjusted losses against closed forms, each written here a second way.

B batch, E experts, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from torch.testing import assert_close

from balpoe.method.losses.logit_adjustment.adjusted_losses import (
    expert_losses,
    logit_adjustments,
    product_of_experts,
)
from balpoe.method.priors import class_prior

seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True, eq=False)
class Batch:
    logits_bec: Tensor
    labels_b: Tensor
    partner_labels_b: Tensor
    class_counts: tuple[int, ...]
    lambdas_ec: Tensor

    @property
    def prior_c(self) -> Tensor:
        return class_prior(self.class_counts)


def random_batch(seed: int, *, images: int = 9, experts: int = 3, classes: int = 5) -> Batch:
    generator = np.random.default_rng(seed)
    labels_2b = torch.from_numpy(generator.integers(0, classes, (2, images)))
    return Batch(
        logits_bec=torch.from_numpy(generator.normal(0, 3, (images, experts, classes))),
        labels_b=labels_2b[0],
        partner_labels_b=labels_2b[1],
        class_counts=tuple(generator.integers(1, 1000, classes).tolist()),
        lambdas_ec=torch.from_numpy(generator.uniform(-2, 2, (experts, classes))),
    )


def losses(batch: Batch, lambdas: list[float] | Tensor) -> Tensor:
    adjustments_ec = logit_adjustments(batch.prior_c, lambdas)
    return expert_losses(batch.logits_bec, adjustments_ec, batch.labels_b)


@given(seed=seeds)
def test_lambda_1_is_cross_entropy(seed: int) -> None:
    batch = random_batch(seed)
    expected = [
        cross_entropy(logits_bc, batch.labels_b) for logits_bc in batch.logits_bec.unbind(1)
    ]
    assert_close(losses(batch, [1.0, 1.0, 1.0]), torch.stack(expected))


@given(seed=seeds)
def test_lambda_0_is_balanced_softmax(seed: int) -> None:
    batch = random_batch(seed)
    weighted_bec = batch.logits_bec.exp() * torch.tensor(batch.class_counts)
    shares_bec = weighted_bec / weighted_bec.sum(dim=2, keepdim=True)
    of_label_be = shares_bec[torch.arange(len(batch.labels_b)), :, batch.labels_b]
    assert_close(losses(batch, [0.0, 0.0, 0.0]), -of_label_be.log().mean(dim=0))


def pairwise_margin_loss(scores: list[float], label: int, margins: list[float]) -> float:
    """Equation (9) of the paper for one image, with margins τ_j·log π_j."""
    others = (j for j in range(len(scores)) if j != label)
    terms = (np.exp(scores[j] - scores[label] + margins[j] - margins[label]) for j in others)
    return float(np.log1p(sum(terms)))


@given(seed=seeds)
def test_equations_8_and_9_of_the_paper_agree_with_a_bias_for_each_class(seed: int) -> None:
    batch = random_batch(seed)
    margins_ec = (1 - batch.lambdas_ec) * batch.prior_c.log()
    expected = [
        np.mean(
            [
                pairwise_margin_loss(scores_c, label, margins_c)
                for scores_c, label in zip(
                    batch.logits_bec[:, e].tolist(), batch.labels_b.tolist(), strict=True
                )
            ]
        )
        for e, margins_c in enumerate(margins_ec.tolist())
    ]
    assert_close(losses(batch, batch.lambdas_ec), torch.tensor(expected, dtype=torch.float64))


def test_a_bias_per_expert_is_the_same_bias_for_each_of_its_classes() -> None:
    prior_c = class_prior((50, 9, 4))
    lambdas = [1.0, 0.0, -1.0]
    per_class_ec = torch.tensor(lambdas)[:, None].expand(3, 3)
    expected_ec = torch.stack([0 * prior_c, prior_c.log(), 2 * prior_c.log()])
    assert_close(logit_adjustments(prior_c, lambdas), expected_ec)
    assert_close(logit_adjustments(prior_c, torch.tensor(lambdas)), expected_ec)
    assert_close(logit_adjustments(prior_c, per_class_ec), expected_ec)


@given(seed=seeds, xi=st.floats(0, 1))
def test_the_mixed_loss_is_the_cross_entropy_with_mixed_labels(seed: int, xi: float) -> None:
    batch = random_batch(seed)
    adjustments_ec = logit_adjustments(batch.prior_c, batch.lambdas_ec)
    mixed_labels_bc = xi * one_hot(batch.labels_b, 5) + (1 - xi) * one_hot(
        batch.partner_labels_b, 5
    )
    adjusted_bec = batch.logits_bec + adjustments_ec
    expected = [cross_entropy(scores_bc, mixed_labels_bc) for scores_bc in adjusted_bec.unbind(1)]
    mixed = expert_losses(
        batch.logits_bec,
        adjustments_ec,
        batch.labels_b,
        partner_labels_b=batch.partner_labels_b,
        xi=torch.tensor(xi, dtype=torch.float64),
    )
    assert_close(mixed, torch.stack(expected))


@pytest.mark.parametrize("xi", [0.0, 1.0])
def test_a_mixture_of_one_part_has_exactly_that_parts_loss(xi: float) -> None:
    batch = random_batch(1)
    adjustments_ec = logit_adjustments(batch.prior_c, batch.lambdas_ec)
    mixed = expert_losses(
        batch.logits_bec,
        adjustments_ec,
        batch.labels_b,
        partner_labels_b=batch.partner_labels_b,
        xi=torch.tensor(xi, dtype=torch.float64),
    )
    remaining_b = batch.labels_b if xi == 1 else batch.partner_labels_b
    assert torch.equal(mixed, expert_losses(batch.logits_bec, adjustments_ec, remaining_b))


def test_an_expert_has_the_same_loss_alone_as_beside_others() -> None:
    batch = random_batch(2)
    adjustments_ec = logit_adjustments(batch.prior_c, batch.lambdas_ec)
    alone = [
        expert_losses(batch.logits_bec[:, [e]], adjustments_ec[[e]], batch.labels_b)
        for e in range(3)
    ]
    assert torch.equal(torch.cat(alone), losses(batch, batch.lambdas_ec))


def test_the_gradient_of_each_experts_loss_is_its_error_and_touches_no_other_expert() -> None:
    batch = random_batch(3)
    logits_bec = batch.logits_bec.clone().requires_grad_()
    adjustments_ec = logit_adjustments(batch.prior_c, batch.lambdas_ec)
    losses_e = expert_losses(logits_bec, adjustments_ec, batch.labels_b)
    (gradient_bec,) = torch.autograd.grad(losses_e[1], logits_bec)
    predicted_bc = (batch.logits_bec + adjustments_ec)[:, 1].softmax(dim=-1)
    expected_bec = torch.zeros_like(batch.logits_bec)
    expected_bec[:, 1] = (predicted_bc - one_hot(batch.labels_b, 5)) / len(batch.labels_b)
    assert_close(gradient_bec, expected_bec)


def test_scores_far_beyond_the_range_of_exp_have_a_finite_float32_loss() -> None:
    adjustments_ec = logit_adjustments(class_prior((10**6, 1)), [-2.0]).float()
    loss_e = expert_losses(torch.tensor([[[1e4, -1e4]]]), adjustments_ec, torch.tensor([1]))
    assert_close(loss_e, 2e4 - adjustments_ec[:, 1], rtol=1e-6, atol=0)


def test_no_value_is_needed_on_the_host_forwards_or_backwards() -> None:
    # tensors on the meta device have no values: whatever would read one raises
    logits_bec = torch.empty(8, 3, 5, device="meta", requires_grad=True)
    labels_b = torch.empty(8, dtype=torch.int64, device="meta")
    losses_e = expert_losses(
        logits_bec,
        torch.empty(3, 5, device="meta"),
        labels_b,
        partner_labels_b=labels_b,
        xi=torch.empty((), device="meta"),
    )
    (gradient_bec,) = torch.autograd.grad(losses_e.mean(), logits_bec)
    assert losses_e.shape == (3,)
    assert gradient_bec.shape == logits_bec.shape


@given(seed=seeds)
def test_a_product_of_experts_is_their_normalised_geometric_mean(seed: int) -> None:
    logits_bec = random_batch(seed).logits_bec
    geometric_bc = logits_bec.softmax(dim=2).prod(dim=1) ** (1 / 3)
    expected_bc = geometric_bc / geometric_bc.sum(dim=1, keepdim=True)
    assert_close(product_of_experts(logits_bec).softmax(dim=1), expected_bc)
