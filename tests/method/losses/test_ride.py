"""RIDE's joint loss: its divergence against torch's, and what passes a gradient on.

B batch, E experts, C classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, softmax
from torch.testing import assert_close

from balpoe.config.loss import JointCriterion, Targets
from balpoe.method.losses.ride.diverse_experts import class_temperatures
from balpoe.method.priors import class_prior
from tests.method.losses.engine_step import COUNTS, configured, context_of, take_step

LABELS_B = torch.tensor([0, 1, 2, 0, 3, 2])


def random_logits(experts: int = 3) -> Tensor:
    return 2 * torch.randn(6, experts, 4, generator=torch.Generator().manual_seed(1))


def divergences(logits_bec: Tensor, mean_bc: Tensor, temperatures_c: Tensor) -> Tensor:
    """T̄²·KL of each expert, as torch computes it."""
    scaled = temperatures_c.mean() ** 2
    return scaled * torch.stack(
        [
            kl_div(
                log_softmax(logits_bc / temperatures_c, dim=1),
                softmax(mean_bc / temperatures_c, dim=1),
                reduction="batchmean",
            )
            for logits_bc in logits_bec.unbind(1)
        ]
    )


@pytest.mark.parametrize("experts", [2, 3])
@pytest.mark.parametrize("epoch", [0, 159, 160, 199])
def test_it_is_the_sum_over_experts_of_ldam_and_the_divergence(epoch: int, experts: int) -> None:
    logits_bec = random_logits(experts)
    ride = configured("ride", experts, reweighting=0.99, rho=0.1, diversity=-0.3)
    ldam = configured("ldam", experts, reweighting=0.99)
    temperatures_c = torch.ones(4)
    if epoch >= 160:
        temperatures_c = class_temperatures(class_prior(COUNTS), 0.1).float()
    divergence_e = divergences(logits_bec, logits_bec.mean(dim=1), temperatures_c)
    own_e = take_step(ldam, logits_bec, LABELS_B, epoch=epoch).losses_e
    found = take_step(ride, logits_bec, LABELS_B, epoch=epoch)
    assert_close(found.losses_e.mean(), (own_e - 0.3 * divergence_e).sum())
    assert_close(found.losses_e, experts * (own_e - 0.3 * divergence_e))


def test_without_class_weights_the_temperatures_stay_1() -> None:
    ride = configured("ride", 3, rho=0.5)
    first, last = (take_step(ride, random_logits(), LABELS_B, epoch=epoch) for epoch in (0, 199))
    assert torch.equal(first.losses_e, last.losses_e)


@pytest.mark.parametrize("epoch", [0, 160])
def test_the_mean_logits_pass_no_gradient_on(epoch: int) -> None:
    """The gradient is that of finite differences of a loss in which the mean is a constant."""
    configuration = configured("ride", 3, rho=0.1, reweighting=0.99)
    context = context_of(configuration)
    criterion = configuration.loss.criterion(context)
    margins = configured("ldam").loss.criterion(context)
    criterion.start_epoch(epoch)
    assert isinstance(criterion, JointCriterion)
    logits_bec = random_logits().double().requires_grad_()
    (gradient_bec,) = torch.autograd.grad(
        criterion.means(logits_bec, Targets(LABELS_B)).sum(), logits_bec
    )
    mean_bc = logits_bec.detach().mean(dim=1)
    temperatures_c = torch.ones(4).double()
    if epoch == 160:
        temperatures_c = class_temperatures(class_prior(COUNTS), 0.1)

    def with_constant_mean(changed_bec: Tensor) -> float:
        own = sum(
            float(margins.mean(0, expert_bc, Targets(LABELS_B)))
            for expert_bc in changed_bec.unbind(1)
        )
        return 3 * (own - 0.45 * float(divergences(changed_bec, mean_bc, temperatures_c).sum()))

    for place in np.ndindex(6, 3, 4):
        step_bec = torch.zeros(6, 3, 4).double()
        step_bec[place] = 1e-6
        above, below = (with_constant_mean(logits_bec.detach() + d) for d in (step_bec, -step_bec))
        assert float(gradient_bec[place]) == pytest.approx((above - below) / 2e-6, abs=1e-5)


def test_experts_that_agree_have_no_divergence() -> None:
    same_bec = random_logits(1).expand(-1, 3, -1).contiguous()
    ride = take_step(configured("ride", 3), same_bec, LABELS_B)
    ldam = take_step(configured("ldam", 3), same_bec, LABELS_B)
    assert_close(ride.losses_e, 3 * ldam.losses_e)
    assert_close(ride.gradients_bec, 3 * ldam.gradients_bec)


def test_labels_are_mixed_and_the_divergence_is_counted_once() -> None:
    logits_bec = random_logits()
    partner_labels_b, xi_b = LABELS_B.roll(1), torch.linspace(0, 1, 6)
    mixed: dict[str, Any] = {"partner_labels_b": partner_labels_b, "xi": xi_b}
    ride, ldam = configured("ride", 3), configured("ldam", 3)
    divergence_e = divergences(logits_bec, logits_bec.mean(dim=1), torch.ones(4))
    own_e = take_step(ldam, logits_bec, LABELS_B, **mixed).losses_e
    found_e = take_step(ride, logits_bec, LABELS_B, **mixed).losses_e
    assert_close(found_e, 3 * (own_e - 0.45 * divergence_e))
