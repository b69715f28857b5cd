"""A step of the engine on given logits, and the input for which published code was run.

B batch, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from balpoe.config import Configuration, ExpertsConfig, ModelConfig
from balpoe.config.configuration import ReweightingConfig
from balpoe.config.loss import LOSSES, Criterion, JointCriterion, Loss, LossContext, Targets
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.models.experts import ExpertNetwork
from balpoe.training.learner import Batch, Learner
from balpoe.training.loss_context import class_weights, loss_context

COUNTS = (100, 50, 20, 5)
F_BC = torch.tensor([[2.0, 0.5, -1.0, 0.3], [0.1, 1.2, 0.4, -0.7], [-0.5, 0.0, 1.5, 0.8]])
ONE_B1C = F_BC.unsqueeze(1)
THREE_BEC = torch.stack(
    [
        F_BC,
        0.5 * F_BC + torch.tensor([0.0, 0.1, 0.2, 0.3]),
        -0.3 * F_BC + torch.tensor([1.0, 0.0, -1.0, 0.5]),
    ],
    dim=1,
)
LABELS_B = torch.tensor([0, 3, 2])
PARTNER_LABELS_B = LABELS_B[[2, 0, 1]]
XI = torch.tensor(0.3)


def configured(
    loss: str, experts: int = 1, *, reweighting: float = 0.0, **settings: Any
) -> Configuration:
    """A configuration with this loss; `reweighting` is the β of 200 epochs, from epoch 160 on."""
    base = Configuration(
        data=DigitsLT(),
        model=ModelConfig(cosine_scale=30.0),
        experts=ExpertsConfig(count=experts),
        loss=LOSSES[loss](**settings),
        reweighting=ReweightingConfig(beta=reweighting, start=0.8),
    )
    return replace(base, training=replace(base.training, epochs=200))


def configured_with(loss: Loss, experts: int = 1, *, reweighting: float = 0.0) -> Configuration:
    """The same for a loss that has its settings."""
    return replace(configured("cross_entropy", experts, reweighting=reweighting), loss=loss)


def with_class_lambdas(lambdas_ec: Tensor) -> Configuration:
    """Logit adjustment with a bias of each expert for each class."""
    base = configured("logit_adjustment")
    by_class = tuple(tuple(lambdas_c) for lambdas_c in lambdas_ec.tolist())
    return replace(base, experts=ExpertsConfig(count=len(by_class), class_lambdas=by_class))


def context_of(
    configuration: Configuration, counts: Sequence[int] = COUNTS, device: str = "cpu"
) -> LossContext:
    """What the loss depends on."""
    return loss_context(configuration, counts, torch.device(device))


@dataclass(frozen=True, eq=False)
class Step:
    """The losses of the experts in a step, and the gradient of their mean by the logits."""

    losses_e: Tensor
    gradients_bec: Tensor

    @property
    def mean(self) -> float:
        """What the engine minimises."""
        return float(self.losses_e.mean())


class GivenLogits(nn.Module):
    """An expert with given logits, whatever it sees."""

    def __init__(self, logits_bc: Tensor) -> None:
        super().__init__()
        self.logits_bc = nn.Parameter(logits_bc.clone())

    def forward(self, activations_b1: Tensor) -> Tensor:
        """Return the logits; they depend on the input, as the engine expects, but not in value."""
        return self.logits_bc + 0 * activations_b1.float()


class GivenExperts(nn.Module):
    """A network whose experts have given logits."""

    def __init__(self, logits_bec: Tensor) -> None:
        super().__init__()
        self.shared = nn.Linear(1, 1)
        self.experts = nn.ModuleList(map(GivenLogits, logits_bec.unbind(1)))


def take_step(
    configuration: Configuration,
    logits_bec: Tensor,
    labels_b: Tensor = LABELS_B,
    *,
    counts: Sequence[int] = COUNTS,
    partner_labels_b: Tensor | None = None,
    xi: Tensor | None = None,
    epoch: int = 0,
    first_expert: int = 0,
    autocast_dtype: torch.dtype = torch.float32,
) -> Step:
    """Take a step in an epoch (from 0) with the loss and class weights of a training.

    The network has the experts from number `first_expert` on.
    """
    context = context_of(configuration, counts)
    criterion = configuration.loss.criterion(context)
    criterion.start_epoch(epoch)
    weights = class_weights(configuration, context)
    if weights is not None:
        weights.start_epoch(epoch)
    network = GivenExperts(logits_bec)
    learner = Learner(cast("ExpertNetwork", network), criterion, first_expert, weights)
    batch = Batch(torch.zeros(len(labels_b), 1), labels_b, partner_labels_b, xi)
    learner.add_gradients(batch, autocast_dtype)
    gradients = [parameter.grad for parameter in network.experts.parameters()]
    return Step(learner.loss_sum_e / len(batch), torch.stack(cast("list[Tensor]", gradients), 1))


def expert_means(
    criterion: Criterion, logits_bec: Tensor, labels_b: Tensor, **mixed: Any
) -> Tensor:
    """The mean loss of each expert: [E]; `mixed` are further fields of `Targets`."""
    targets = Targets(labels_b, **mixed)
    if isinstance(criterion, JointCriterion):
        return criterion.means(logits_bec, targets)
    means = [
        criterion.mean(expert, logits_bc, targets)
        for expert, logits_bc in enumerate(logits_bec.unbind(1))
    ]
    return torch.stack(means).flatten()  # one element has the shape [] or [1]
