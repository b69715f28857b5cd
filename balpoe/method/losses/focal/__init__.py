"""The focal loss (Lin et al., ICCV 2017, eq. 4) of softmax probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from balpoe.config.bounds import NonNegative
from balpoe.config.loss import LOSSES, Criterion, Loss, LossContext


@LOSSES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class Focal(Loss):
    """(1 − p_y)^γ·CE; γ = 0 is the cross-entropy.

    The prior that it aims at is taken to be that of the cross-entropy. This is an approximation for
    γ > 0, where the minimiser is flatter than the posterior.
    """

    name: Literal["focal"] = "focal"
    gamma: NonNegative = 1.0

    def criterion(self, context: LossContext) -> Criterion:
        """Return the loss, which is the same for all experts."""
        from balpoe.method.losses.focal.focal_losses import FocalCriterion

        return FocalCriterion(self.gamma)
