"""The gradients of one step against those of the whole ensemble's loss.

B batch, E experts, C classes.
"""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import Tensor, nn

from balpoe.config import ExpertsConfig, ModelConfig
from balpoe.config.configuration import Sharing
from balpoe.losses import expert_losses, logit_adjustments
from balpoe.models import ExpertNetwork, build_experts
from balpoe.training.learner import Batch, Learner

EXPERTS, CLASSES, BATCH = 3, 4, 6


def network_of(sharing: Sharing) -> ExpertNetwork:
    ensemble = build_experts(
        ModelConfig(backbone="resnet8"),
        ExpertsConfig(count=EXPERTS, sharing=sharing),
        channels=1,
        classes=CLASSES,
        generators=[torch.Generator().manual_seed(0)],
    )
    network = ensemble.networks[0]
    assert isinstance(network, ExpertNetwork)
    return network


@pytest.fixture
def adjustments_ec() -> Tensor:
    prior_c = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    return logit_adjustments(prior_c, [1.0, 0.0, -1.0]).float()


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    labels_b = torch.arange(BATCH) % CLASSES
    return Batch(
        torch.randn(BATCH, 1, 8, 8, generator=generator),
        labels_b,
        labels_b.flip(0),
        torch.tensor(0.3),
    )


@pytest.mark.parametrize("sharing", ["shared", "linear"])
def test_gradients_and_losses_are_those_of_the_mean_over_experts(
    sharing: Sharing, adjustments_ec: Tensor, batch: Batch
) -> None:
    one_by_one, at_once = network_of(sharing), network_of(sharing)
    learner = Learner(one_by_one, adjustments_ec)
    learner.add_gradients(batch, torch.float32)
    losses_e = expert_losses(
        at_once(batch.images_bdhw),
        adjustments_ec,
        batch.labels_b,
        partner_labels_b=batch.partner_labels_b,
        xi=batch.xi,
    )
    losses_e.mean().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(learner.loss_sum_e, losses_e.detach() * BATCH)
    for found, expected in zip(one_by_one.parameters(), at_once.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad)


def test_the_activations_of_one_expert_are_gone_before_the_next_begins(
    adjustments_ec: Tensor, batch: Batch
) -> None:
    network = network_of("shared")
    inner: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    def remember(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        alive.append(sum(activation() is not None for activation in inner))
        assert output.grad_fn is not None
        inner.append(weakref.ref(output))

    for expert in network.experts:
        expert.get_submodule("stage2").register_forward_hook(remember)
    gc.disable()  # they must go by themselves
    try:
        Learner(network, adjustments_ec).add_gradients(batch, torch.float32)
    finally:
        gc.enable()
    assert alive == [0] * EXPERTS
