"""The class-balanced focal loss (Cui et al., CVPR 2019, eq. 2 and section 4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from balpoe.config.bounds import NonNegative
from balpoe.config.loss import LOSSES, Criterion, LossContext
from balpoe.method.losses.class_balanced import ClassBalancedLoss


@LOSSES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class ClassBalancedFocal(ClassBalancedLoss):
    """The focal loss with class weights, in the mean over the images of a batch.

    `form` is w_y·(1 − p_y)^γ·CE for `softmax`; the focal loss of w_y·CE for `weighted`, as the code
    of LDAM (Cao et al., NeurIPS 2019); w_y times the sum of the focal losses of C sigmoids for
    `sigmoid`, as Cui et al. The prior that it aims at is that of the weighted cross-entropy, an
    approximation for γ > 0 and for sigmoids.
    """

    name: Literal["class_balanced_focal"] = "class_balanced_focal"
    gamma: NonNegative = 1.0
    form: Literal["softmax", "weighted", "sigmoid"] = "softmax"

    def criterion(self, context: LossContext) -> Criterion:
        """Return the loss, which is the same for all experts."""
        from balpoe.method.losses.class_balanced.weighted_criterion import WeightedCriterion
        from balpoe.method.losses.focal.focal_losses import (
            FocalCriterion,
            FocalOfWeighted,
            SigmoidFocal,
        )

        weights_c = self.weights(context).to(context.device).float()
        if self.form == "weighted":
            return FocalOfWeighted(self.gamma, weights_c)
        form = FocalCriterion if self.form == "softmax" else SigmoidFocal
        return WeightedCriterion(form(self.gamma), weights_c, "images")
