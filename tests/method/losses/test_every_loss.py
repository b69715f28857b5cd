"""What holds for every loss of the table, whatever it computes.

B batch, E experts, C classes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch.testing import assert_close

from balpoe.config.loss import ClassWeights, Criterion, JointCriterion, Loss
from tests.host_reads import refuse_reads
from tests.method.losses.engine_step import (
    COUNTS,
    configured_with,
    context_of,
    expert_means,
    take_step,
)
from tests.method.losses.every_loss import (
    OWN_WEIGHTS,
    described,
    every_loss,
    expert_counts,
)

IMAGES, CLASSES = 7, len(COUNTS)


def every_but(*names: str) -> pytest.MarkDecorator:
    """Parametrise with all losses and numbers of experts, except the losses of these names."""
    parameters = [
        pytest.param(loss, experts, id=f"{described(loss)}-{experts}")
        for loss in every_loss()
        for experts in expert_counts(loss)
        if loss.name not in names and described(loss) not in names
    ]
    return pytest.mark.parametrize(("loss", "experts"), parameters)


every = every_but()


def criterion_of(loss: Loss, experts: int) -> Criterion:
    return loss.criterion(context_of(configured_with(loss, experts)))


def random_logits(
    experts: int, *, scale: float = 2.0, dtype: torch.dtype = torch.float32
) -> Tensor:
    generator = torch.Generator().manual_seed(experts)
    return scale * torch.randn(IMAGES, experts, CLASSES, generator=generator, dtype=dtype)


def labels() -> Tensor:
    """The rarest class has one image; class 1 has none."""
    return torch.tensor([0, 2, 0, 3, 0, 2, 0])


def partner_labels() -> Tensor:
    return labels()[torch.tensor([3, 0, 1, 2, 6, 5, 4])]


def mixtures(loss: Loss, dtype: torch.dtype = torch.float32) -> Iterator[dict[str, Any]]:
    """The keyword arguments without mixing, with ξ of the batch and with ξ of each image."""
    yield {}
    if loss.name != "lade":  # refuses mixed images
        for xi in (torch.tensor(0.3, dtype=dtype), torch.linspace(0, 1, IMAGES, dtype=dtype)):
            yield {"partner_labels_b": partner_labels(), "xi": xi}


@every
def test_a_loss_is_finite_float32_and_one_number_for_each_image(loss: Loss, experts: int) -> None:
    criterion = criterion_of(loss, experts)
    logits_bec = random_logits(experts)
    for expert in range(experts):
        losses_b = criterion.per_image(expert, logits_bec[:, expert], labels())
        assert losses_b.shape == (IMAGES,)
        assert losses_b.dtype == torch.float32
    for mixed in mixtures(loss):
        means_e = expert_means(criterion, logits_bec, labels(), **mixed)
        assert means_e.shape == (experts,)
        assert means_e.dtype == torch.float32
        assert means_e.isfinite().all()


@every_but("ride")  # whose mean logits pass no gradient on: test_ride.py
def test_the_gradient_is_that_of_finite_differences(loss: Loss, experts: int) -> None:
    criterion = criterion_of(loss, experts)
    for mixed in mixtures(loss, torch.float64):

        def total(logits_bec: Tensor, mixed: dict[str, Any] = mixed) -> Tensor:
            return expert_means(criterion, logits_bec, labels(), **mixed).sum()

        logits_bec = random_logits(experts, dtype=torch.float64).requires_grad_()
        assert torch.autograd.gradcheck(total, (logits_bec,), atol=1e-6)


@every_but("lade")
def test_a_mixture_of_the_whole_batch_has_the_same_mixture_of_losses(
    loss: Loss, experts: int
) -> None:
    criterion = criterion_of(loss, experts)
    logits_bec = random_logits(experts)
    own_e = expert_means(criterion, logits_bec, labels())
    partner_e = expert_means(criterion, logits_bec, partner_labels())
    _, of_batch, _ = mixtures(loss)
    expected_e = 0.3 * own_e + 0.7 * partner_e
    assert_close(expert_means(criterion, logits_bec, labels(), **of_batch), expected_e)


# the last two are no means over images: test_ride.py, test_closed_forms.py
@every_but("lade", "ride", "class_balanced batch")
def test_a_mixture_of_each_image_has_the_same_mixture_of_losses(loss: Loss, experts: int) -> None:
    criterion = criterion_of(loss, experts)
    logits_bec = random_logits(experts)
    _, _, of_images = mixtures(loss)
    means_e = expert_means(criterion, logits_bec, labels(), **of_images)
    for expert, logits_bc in enumerate(logits_bec.unbind(1)):
        own_b = criterion.per_image(expert, logits_bc, labels())
        partner_b = criterion.per_image(expert, logits_bc, partner_labels())
        expected = (of_images["xi"] * own_b + (1 - of_images["xi"]) * partner_b).mean()
        assert_close(means_e[expert], expected)


@every_but(*OWN_WEIGHTS)
def test_deferred_class_weights_are_those_of_the_section_reweighting(
    loss: Loss, experts: int
) -> None:
    configuration = configured_with(loss, experts, reweighting=0.99)
    context = context_of(configuration)
    criterion = loss.criterion(context)
    criterion.start_epoch(160)
    logits_bec = random_logits(experts)
    weights_b = context.final_weights_c.float()[labels()]
    before_e = expert_means(criterion, logits_bec, labels())
    weighted_e = take_step(configuration, logits_bec, labels(), epoch=160).losses_e
    factor = experts if loss.name == "ride" else 1
    for expert, logits_bc in enumerate(logits_bec.unbind(1)):
        losses_b = criterion.per_image(expert, logits_bc, labels())
        rest = before_e[expert] - factor * losses_b.mean()  # what LADE and RIDE add for the batch
        expected = factor * (weights_b * losses_b).sum() / weights_b.sum() + rest
        assert_close(weighted_e[expert], expected)


def test_what_refuses_reads_on_the_host_refuses_them() -> None:
    values = torch.tensor([1.0, 0.0])
    reads: list[Callable[[], object]] = [
        lambda: float(values[0]),
        lambda: values[values > 0],
        lambda: bool(values.any()),
        lambda: one_hot(values.long(), 2),
    ]
    for read in reads:
        with refuse_reads(), pytest.raises(AssertionError, match="cannot be captured"):
            read()


def weights_to_try(loss: Loss, device: str) -> list[ClassWeights | None]:
    """No class weights, and some unless the loss has its own."""
    weights = ClassWeights(torch.linspace(0.5, 1.5, CLASSES, device=device), 0, "batch")
    return [None] if loss.name in OWN_WEIGHTS else [None, weights]


@every
def test_no_value_is_read_on_the_host_forwards_or_backwards(loss: Loss, experts: int) -> None:
    criterion = criterion_of(loss, experts)
    for mixed, weights in itertools.product(mixtures(loss), weights_to_try(loss, "cpu")):
        logits_bec = random_logits(experts).requires_grad_()
        with refuse_reads():
            means_e = expert_means(criterion, logits_bec, labels(), **mixed, class_weights=weights)
            means_e.mean().backward()  # type: ignore[no-untyped-call]
        assert logits_bec.grad is not None


@every
def test_a_loss_is_computed_where_the_device_of_the_training_is(loss: Loss, experts: int) -> None:
    # tensors on the meta device have no values: a list of them cannot be made either
    context = context_of(configured_with(loss, experts), device="meta")
    criterion = loss.criterion(context)
    criterion.start_epoch(0)
    for mixed, weights in itertools.product(mixtures(loss), weights_to_try(loss, "meta")):
        there = {name: tensor.to("meta") for name, tensor in mixed.items()}
        logits_bec = random_logits(experts).to("meta").requires_grad_()
        labels_b = labels().to("meta")
        means_e = expert_means(criterion, logits_bec, labels_b, **there, class_weights=weights)
        (gradient_bec,) = torch.autograd.grad(means_e.mean(), logits_bec)
        assert gradient_bec.shape == logits_bec.shape


@every
def test_a_step_in_bfloat16_has_the_loss_of_one_in_float32(loss: Loss, experts: int) -> None:
    configuration = configured_with(loss, experts)
    logits_bec = random_logits(experts)
    for mixed in mixtures(loss):
        exact = take_step(configuration, logits_bec, labels(), **mixed)
        mixed["autocast_dtype"] = torch.bfloat16
        under_autocast = take_step(configuration, logits_bec, labels(), **mixed)
        assert torch.equal(under_autocast.losses_e, exact.losses_e)
        assert torch.equal(under_autocast.gradients_bec, exact.gradients_bec)


@every
def test_two_steps_are_equal_to_the_last_bit(loss: Loss, experts: int) -> None:
    configuration = configured_with(loss, experts)
    for mixed in mixtures(loss):
        first, second = (
            take_step(configuration, random_logits(experts), labels(), **mixed) for _ in range(2)
        )
        assert torch.equal(first.losses_e, second.losses_e)
        assert torch.equal(first.gradients_bec, second.gradients_bec)


@every
def test_scores_far_beyond_the_range_of_exp_have_a_finite_loss_and_gradient(
    loss: Loss, experts: int
) -> None:
    step = take_step(configured_with(loss, experts), random_logits(experts, scale=3e3), labels())
    assert step.losses_e.isfinite().all()
    assert step.gradients_bec.isfinite().all()


@every
def test_the_logits_of_an_expert_change_the_loss_of_no_other_unless_it_is_joint(
    loss: Loss, experts: int
) -> None:
    criterion = criterion_of(loss, experts)
    logits_bec = random_logits(experts)
    before_e = expert_means(criterion, logits_bec, labels())
    logits_bec[:, 0] += torch.linspace(0, 1, CLASSES)
    changed_e = expert_means(criterion, logits_bec, labels()) != before_e
    expected = [True] + [isinstance(criterion, JointCriterion)] * (experts - 1)
    assert changed_e.tolist() == expected


def tensors_in(value: object) -> list[Tensor]:
    """The tensors of a loss and of the losses that it consists of, in their order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (Criterion, ClassWeights)):
        return [tensor for part in vars(value).values() for tensor in tensors_in(part)]
    return []


@every
def test_the_epoch_alone_decides_the_state_and_tensors_stay_at_their_addresses(
    loss: Loss, experts: int
) -> None:
    weighted = 0.0 if loss.name in OWN_WEIGHTS else 0.99
    criterion = loss.criterion(context_of(configured_with(loss, experts, reweighting=weighted)))
    addresses = [tensor.data_ptr() for tensor in tensors_in(criterion)]
    criterion.start_epoch(0)
    first = [tensor.clone() for tensor in tensors_in(criterion)]
    for epoch in (199, 0):
        criterion.start_epoch(epoch)
    assert [tensor.data_ptr() for tensor in tensors_in(criterion)] == addresses
    for found, expected in zip(tensors_in(criterion), first, strict=True):
        assert torch.equal(found, expected)
