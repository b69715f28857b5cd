"""The table of losses: what an expert is trained to minimise.

B batch, E experts of the whole ensemble, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from balpoe.config.entry_tables import Entry, Table

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, eq=False, slots=True)
class LossContext:
    """The properties of a training that a loss may depend on.

    `class_counts` are the training images of each of the C classes, `prior_c` is their share
    (float64 [C], on the CPU), `lambdas` holds the bias λ of each of the E experts. The tensors
    of the loss are on `device`.
    """

    class_counts: tuple[int, ...]
    prior_c: Tensor
    lambdas: tuple[float, ...]
    epochs: int
    device: torch.device


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

    def mean(
        self,
        expert: int,
        logits_bc: Tensor,
        labels_b: Tensor,
        *,
        partner_labels_b: Tensor | None = None,
        xi: Tensor | None = None,
    ) -> Tensor:
        """Return the mean over the batch of ξ·ℓ(y) + (1 − ξ)·ℓ(y_partner), as one element.

        `xi` is the share of the images with `labels_b`, one for the batch or one per image. It is
        None, and so are the labels of the partners, where nothing is mixed.
        """
        losses_b = self.per_image(expert, logits_bc, labels_b)
        if partner_labels_b is not None and xi is not None:
            losses_b = self.per_image(expert, logits_bc, partner_labels_b).lerp(losses_b, xi)
        return losses_b.mean()

    def start_epoch(self, epoch: int) -> None:
        """Adapt the loss to an epoch (from 0) before its first step.

        Change tensors in place: a captured step reads them at the same address. The state may
        depend on `epoch` alone, because checkpoints do not hold it.
        """
        return


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss(Entry, ABC):
    """The settings of a loss; abstract."""

    name: str

    @abstractmethod
    def criterion(self, context: LossContext) -> Criterion:
        """Return the loss of one training."""


LOSSES = Table(
    Loss,  # type: ignore[type-abstract]
    package="balpoe.method.losses",
    group="balpoe.losses",
)
