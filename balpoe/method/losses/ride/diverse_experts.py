"""The joint loss of RIDE.

B batch, E experts, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from balpoe.config.loss import Criterion, DeferredByClass, JointCriterion, Targets


def class_temperatures(prior_c: Tensor, rho: float) -> Tensor:
    """Return 1 − ρ + ρ·C·π_c, divided by the largest: float64 [C]."""
    temperatures_c = 1 - rho + rho * len(prior_c) * prior_c
    return temperatures_c / temperatures_c.max()


class DiverseExperts(JointCriterion):
    """A loss of each expert, plus `diversity` times its divergence from the mean logits.

    The float32 `temperatures_c` apply from the epoch `start` (from 0) on, 1 before.
    """

    def __init__(
        self, own: Criterion, temperatures_c: Tensor, start: int, *, diversity: float
    ) -> None:
        self._own = own
        self._temperatures = DeferredByClass(temperatures_c, start)
        self._diversity = diversity

    def start_epoch(self, epoch: int) -> None:
        """Set the temperatures in place."""
        self._temperatures.start_epoch(epoch)

    def per_image(self, expert: int, logits_bc: Tensor, labels_b: Tensor) -> Tensor:
        """Return the loss of one expert for each image, without the divergence: float32 [B]."""
        return self._own.per_image(expert, logits_bc, labels_b)

    def means(self, logits_bec: Tensor, targets: Targets) -> Tensor:
        """Return the loss of each expert times E, [E]: their mean is the sum over experts."""
        own = [
            self._own.mean(expert, logits_bc, targets)
            for expert, logits_bc in enumerate(logits_bec.unbind(1))
        ]
        loss_e = torch.stack(own) + self._diversity * self._divergences(logits_bec)
        return logits_bec.shape[1] * loss_e

    def _divergences(self, logits_bec: Tensor) -> Tensor:
        """Return T̄²·KL(softmax(f̄/T) ‖ softmax(f_e/T)), the mean over the images: [E]."""
        mean_b1c = logits_bec.detach().mean(dim=1, keepdim=True)
        temperatures_c = self._temperatures.values_c
        log_mean_b1c = (mean_b1c / temperatures_c).log_softmax(dim=2)
        log_experts_bec = (logits_bec / temperatures_c).log_softmax(dim=2)
        ratios_bec = log_mean_b1c - log_experts_bec
        divergences_be = (log_mean_b1c.exp() * ratios_bec).sum(dim=2)
        return temperatures_c.mean().square() * divergences_be.mean(dim=0)
