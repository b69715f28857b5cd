"""The generalised logit-adjusted loss (Aimar et al., CVPR 2023, eq. 8)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from balpoe.config.loss import LOSSES, Criterion, Loss, LossContext

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustedLoss(Loss, ABC):
    """A cross-entropy of logits to which constants are added in training; abstract."""

    @abstractmethod
    def adjustments(self, context: LossContext) -> Tensor:
        """Return what is added to the logits of each expert: float64 [E, C], on the CPU."""

    def criterion(self, context: LossContext) -> Criterion:
        """Return the loss with the adjustments of all experts on the device."""
        from balpoe.method.losses.logit_adjustment.adjusted_losses import AdjustedCrossEntropy

        return AdjustedCrossEntropy(self.adjustments(context).to(context.device).float())

    def log_target_priors(self, context: LossContext) -> Tensor:
        """Return the aim of the cross-entropy, less the adjustments, which a test leaves out."""
        # `super()` without arguments fails in a dataclass with slots
        return Loss.log_target_priors(self, context) - self.adjustments(context)


@LOSSES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class LogitAdjustment(AdjustedLoss):
    """Cross-entropy of f + (1 − λ_e)·log π for expert e; `experts` gives the biases λ."""

    uses_lambdas: ClassVar[bool] = True

    name: Literal["logit_adjustment"] = "logit_adjustment"

    def adjustments(self, context: LossContext) -> Tensor:
        """Return (1 − λ_e)·log π."""
        from balpoe.method.losses.logit_adjustment.adjusted_losses import logit_adjustments

        return logit_adjustments(context.prior_c, context.lambdas_ex)
