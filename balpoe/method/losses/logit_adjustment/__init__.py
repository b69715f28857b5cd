"""The generalised logit-adjusted loss (Aimar et al., CVPR 2023, eq. 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from balpoe.config.loss import LOSSES, Criterion, Loss, LossContext

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class LogitAdjustment(Loss):
    """Cross-entropy of f + (1 − λ_e)·log π for expert e; `experts` gives the biases λ."""

    uses_lambdas: ClassVar[bool] = True

    name: Literal["logit_adjustment"] = "logit_adjustment"

    def criterion(self, context: LossContext) -> Criterion:
        """Return the loss with the adjustments of all experts on the device."""
        from balpoe.method.losses.logit_adjustment.adjusted_losses import (
            AdjustedCrossEntropy,
            logit_adjustments,
        )

        adjustments_ec = logit_adjustments(context.prior_c, context.lambdas_ex)
        return AdjustedCrossEntropy(adjustments_ec.to(context.device).float())

    def log_target_priors(self, context: LossContext) -> Tensor:
        """Return λ_e·log π, and what class weights and the sampling of classes add to it."""
        # `super()` without arguments fails in a dataclass with slots
        aimed_ec = Loss.log_target_priors(self, context) - context.prior_c.log()
        return context.lambdas_ex * context.prior_c.log() + aimed_ec
