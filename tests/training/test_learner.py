"""The gradients of one step against those of the whole ensemble's loss.

B batch, E experts, C classes.
"""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from balpoe.config import ExpertsConfig, ModelConfig
from balpoe.config.configuration import Sharing
from balpoe.config.loss import Criterion, Targets
from balpoe.method.losses.logit_adjustment.adjusted_losses import (
    AdjustedCrossEntropy,
    expert_losses,
    logit_adjustments,
)
from balpoe.models.experts import ExpertNetwork, build_experts
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
    learner = Learner(one_by_one, AdjustedCrossEntropy(adjustments_ec))
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


@pytest.mark.parametrize("accumulate", [2, 4, BATCH, BATCH + 1])
@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("sharing", ["shared", "linear"])
def test_gradients_of_parts_add_up_to_those_of_the_batch(
    sharing: Sharing, mixed: bool, accumulate: int, adjustments_ec: Tensor, batch: Batch
) -> None:
    if not mixed:
        batch = Batch(batch.images_bdhw, batch.labels_b)
    in_parts, whole = network_of(sharing), network_of(sharing)
    for network in (in_parts, whole):
        network.eval()  # batch normalisation with statistics that are given
    criterion = AdjustedCrossEntropy(adjustments_ec)
    learner, other = Learner(in_parts, criterion), Learner(whole, criterion)
    learner.add_gradients(batch, torch.float32, accumulate=accumulate)
    other.add_gradients(batch, torch.float32)
    torch.testing.assert_close(learner.loss_sum_e, other.loss_sum_e)
    for found, expected in zip(in_parts.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad)


@pytest.mark.parametrize("accumulate", [1, 2, 4, BATCH])
def test_parts_are_of_nearly_equal_size_and_hold_every_image_once(
    accumulate: int, batch: Batch
) -> None:
    parts = list(batch.parts(accumulate))
    sizes = [len(part) for part in parts]
    assert len(parts) == accumulate
    assert max(sizes) - min(sizes) <= 1
    assert torch.equal(torch.cat([part.images_bdhw for part in parts]), batch.images_bdhw)
    assert torch.equal(torch.cat([part.labels_b for part in parts]), batch.labels_b)
    assert all(part.xi is batch.xi for part in parts)


def test_only_one_part_of_a_batch_is_in_memory(adjustments_ec: Tensor, batch: Batch) -> None:
    network = network_of("shared")
    sizes: list[int] = []
    network.shared.register_forward_hook(lambda *seen: sizes.append(len(seen[2])))
    learner = Learner(network, AdjustedCrossEntropy(adjustments_ec))
    learner.add_gradients(batch, torch.float32, accumulate=3)
    assert sizes == [2, 2, 2]


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
        Learner(network, AdjustedCrossEntropy(adjustments_ec)).add_gradients(batch, torch.float32)
    finally:
        gc.enable()
    assert alive == [0] * EXPERTS


class Brier(Criterion):
    """The squared distance to the label, with a weight that the epoch changes."""

    def __init__(self) -> None:
        self._weight = torch.ones(())

    def per_image(self, expert: int, logits_bc: Tensor, labels_b: Tensor) -> Tensor:
        distance_bc = logits_bc.softmax(dim=1) - one_hot(labels_b, CLASSES)
        return (expert + 1) * self._weight * distance_bc.square().sum(dim=1)

    def start_epoch(self, epoch: int) -> None:
        self._weight.fill_(epoch)


@pytest.mark.parametrize("per_image", [False, True])
def test_a_loss_of_single_images_is_mixed_and_averaged(per_image: bool, batch: Batch) -> None:
    logits_bc = torch.randn(BATCH, CLASSES, generator=torch.Generator().manual_seed(2))
    xi = torch.linspace(0, 1, BATCH) if per_image else torch.tensor(0.3)
    loss = Brier()
    found = loss.mean(1, logits_bc, Targets(batch.labels_b, batch.partner_labels_b, xi))
    assert batch.partner_labels_b is not None
    own_b = loss.per_image(1, logits_bc, batch.labels_b)
    partner_b = loss.per_image(1, logits_bc, batch.partner_labels_b)
    torch.testing.assert_close(found, (xi * own_b + (1 - xi) * partner_b).mean())
    torch.testing.assert_close(loss.mean(1, logits_bc, Targets(batch.labels_b)), own_b.mean())


def test_every_expert_is_trained_by_the_loss_of_its_number(batch: Batch) -> None:
    first, second = (
        Learner(network_of("shared"), Brier()),
        Learner(network_of("shared"), Brier(), 2),
    )
    for learner in (first, second):
        learner.add_gradients(batch, torch.float32)
    ratios = torch.tensor([3 / 1, 4 / 2, 5 / 3])
    torch.testing.assert_close(second.loss_sum_e, ratios * first.loss_sum_e)


@pytest.mark.parametrize("accumulate", [1, 4])
def test_shares_of_single_images_are_split_with_the_batch(
    accumulate: int, adjustments_ec: Tensor, batch: Batch
) -> None:
    one, many = network_of("shared").eval(), network_of("shared").eval()
    criterion = AdjustedCrossEntropy(adjustments_ec)
    per_image = replace(batch, xi=torch.full((BATCH,), 0.3))
    learner, other = Learner(one, criterion), Learner(many, criterion)
    learner.add_gradients(batch, torch.float32)
    other.add_gradients(per_image, torch.float32, accumulate=accumulate)
    torch.testing.assert_close(learner.loss_sum_e, other.loss_sum_e)
    for found, expected in zip(one.parameters(), many.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad)
