"""The generalised logit-adjusted loss (Aimar et al., CVPR 2023, eq. 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from balpoe.config.loss import LOSSES, Criterion, Loss, LossContext


@LOSSES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class LogitAdjustment(Loss):
    """Cross-entropy of f + (1 − λ_e)·log π for expert e; `experts` gives the biases λ."""

    name: Literal["logit_adjustment"] = "logit_adjustment"

    def criterion(self, context: LossContext) -> Criterion:
        """Return the loss with the adjustments of all experts on the device."""
        from balpoe.method.losses.logit_adjustment.adjusted_losses import (
            AdjustedCrossEntropy,
            logit_adjustments,
        )

        adjustments_ec = logit_adjustments(context.prior_c, context.lambdas)
        return AdjustedCrossEntropy(adjustments_ec.to(context.device).float())
