"""The table of losses: what an expert is trained to minimise.

B batch, E experts of the whole ensemble, C classes.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from balpoe.config.bounds import Bounds
from balpoe.config.entry_tables import Entry, Table
from balpoe.errors import FieldProblem

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from balpoe.config.configuration import Configuration

WeightNormalisation = Literal["batch", "images"]
"""Divide a weighted sum of losses by the weights of the batch, or by its number of images."""

EffectiveNumberBeta = Annotated[float, Bounds(at_least=0, at_most=0.9999999)]
"""β of class weights (1 − β)/(1 − β^n); 0 gives equal weights (Cui et al., CVPR 2019, eq. 2)."""


@dataclass(frozen=True, eq=False, slots=True)
class LossContext:
    """The properties of a training that a loss may depend on.

    Attributes:
        class_counts: The training images of each of the C classes.
        prior_c: Their share π, float64 [C], on the CPU.
        sampled_prior_c: The share of each class in the draws of the last epoch, float64 [C]: π
            unless `training.class_sampling` changes it.
        final_weights_c: The weight of each class in the last epoch, float64 [C].
        lambdas_ex: The bias λ of each expert, float64 [E, 1], or for each class [E, C].
        network_experts: The experts of one network: E, or 1 if each has a network of its own.
        logit_scale: κ of a cosine classifier; 1 for a linear one.
        epochs: The number of epochs.
        reweighted_from: The first epoch (from 0) with class weights; None without.
        device: The device of the tensors of the loss.
    """

    class_counts: tuple[int, ...]
    prior_c: Tensor
    sampled_prior_c: Tensor
    final_weights_c: Tensor
    lambdas_ex: Tensor
    network_experts: int
    logit_scale: float
    epochs: int
    reweighted_from: int | None
    device: torch.device

    @property
    def log_drawn_c(self) -> Tensor:
        """The log of the share of each class in the draws times its weight, float64 [C]."""
        return self.sampled_prior_c.log() + self.final_weights_c.log()


class DeferredByClass:
    """A number for each class, `values_c`; all are 1 before the epoch `start` (from 0)."""

    def __init__(self, final_c: Tensor, start: int) -> None:
        self._final_c = final_c
        self._start = start
        self.values_c = final_c.new_ones(len(final_c))

    def start_epoch(self, epoch: int) -> None:
        """Set the values in place: a captured step reads them at the same address."""
        if epoch >= self._start:
            self.values_c.copy_(self._final_c)
        else:
            self.values_c.fill_(1.0)


class ClassWeights(DeferredByClass):
    """The weight of each class in a mean of losses."""

    def __init__(self, weights_c: Tensor, start: int, normalisation: WeightNormalisation) -> None:
        super().__init__(weights_c, start)
        self._normalisation = normalisation

    def mean(self, losses_b: Tensor, labels_b: Tensor, share: Tensor | None = None) -> Tensor:
        """Return Σ share·w·ℓ, divided by Σ w or by the number of images, as one element.

        `share` is that of the labels in mixed images: one ([]), or one per image ([B]).
        """
        weights_b = self.values_c.index_select(0, labels_b)
        weighted_b = weights_b * losses_b if share is None else weights_b * losses_b * share
        if self._normalisation == "batch":
            return weighted_b.sum() / weights_b.sum()
        return weighted_b.mean()


@dataclass(frozen=True, eq=False, slots=True)
class Targets:
    """The labels of a batch, and how their losses are averaged.

    Attributes:
        labels_b: int64 [B].
        partner_labels_b: The labels of the partners, int64 [B]; None where nothing is mixed.
        xi: The share of the images with `labels_b`: one for the batch ([]) or one per image ([B]);
            None where nothing is mixed.
        class_weights: The weights of the classes; None for equal ones.
    """

    labels_b: Tensor
    partner_labels_b: Tensor | None = None
    xi: Tensor | None = None
    class_weights: ClassWeights | None = None

    def mean(self, losses_of: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the mean over the batch of ξ·ℓ(y) + (1 − ξ)·ℓ(y_partner), as one element.

        `losses_of` returns the loss of each image, [B], for labels [B]. With class weights the
        means of ξ·ℓ(y) and of (1 − ξ)·ℓ(y_partner) are weighted each by its own labels.
        """
        labels_b, weights, xi = self.labels_b, self.class_weights, self.xi
        losses_b = losses_of(labels_b)
        if self.partner_labels_b is None or xi is None:
            return weights.mean(losses_b, labels_b) if weights else losses_b.mean()
        partner_losses_b = losses_of(self.partner_labels_b)
        if weights is None:
            return partner_losses_b.lerp(losses_b, xi).mean()
        mean = weights.mean(losses_b, labels_b, xi)
        return mean + weights.mean(partner_losses_b, self.partner_labels_b, 1 - xi)


class Criterion(ABC):
    """A loss during a training.

    On a GPU, the step that calls `mean` is captured as a CUDA graph. No method may read a value
    of a tensor on the host or give a tensor a shape that depends on values.
    """

    @abstractmethod
    def per_image(self, expert: int, logits_bc: Tensor, labels_b: Tensor) -> Tensor:
        """Return the loss of expert `expert` (0 to E − 1) for each image: float32 [B].

        `logits_bc` are float32, `labels_b` int64.
        """

    def mean(self, expert: int, logits_bc: Tensor, targets: Targets) -> Tensor:
        """Return the mean loss of an expert over the batch, as one element."""
        return targets.mean(functools.partial(self.per_image, expert, logits_bc))

    def start_epoch(self, epoch: int) -> None:
        """Adapt the loss to an epoch (from 0) before its first step.

        Change tensors in place: a captured step reads them at the same address. The state may
        depend on `epoch` alone, because checkpoints do not hold it.
        """
        return


class JointCriterion(Criterion):
    """A loss of each expert that depends on the logits of the others, for the same images.

    The step holds the activations of all experts at once.
    """

    @abstractmethod
    def means(self, logits_bec: Tensor, targets: Targets) -> Tensor:
        """Return the mean loss of each expert over the batch, float32 [E]; so are the logits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss(Entry, ABC):
    """The settings of a loss; abstract.

    `uses_lambdas` says whether the loss depends on the biases λ of the experts.
    """

    name: str
    uses_lambdas: ClassVar[bool] = False

    @abstractmethod
    def criterion(self, context: LossContext) -> Criterion:
        """Return the loss of one training."""

    def log_target_priors(self, context: LossContext) -> Tensor:
        """Return the logarithm of the prior that each expert aims at: float64 [E, C], on the CPU.

        A constant may be added for each expert. By default it is the share of the classes in the
        draws times the weights of the classes: what the cross-entropy aims at.
        """
        return context.log_drawn_c.expand(len(context.lambdas_ex), -1).clone()

    def problems(self, configuration: Configuration) -> Iterator[FieldProblem]:
        """Yield what else in a configuration does not go with this loss; none by default."""
        return iter(())


def idle_biases(losses: Sequence[str]) -> str:
    """Say that biases λ change nothing with losses that have none."""
    have = "has" if len(losses) == 1 else "have"
    return f"changes nothing: {', '.join(losses)} {have} no λ; use loss.name: logit_adjustment"


LOSSES = Table(
    Loss,  # type: ignore[type-abstract]
    package="balpoe.method.losses",
    group="balpoe.losses",
)
