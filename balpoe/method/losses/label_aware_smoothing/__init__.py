"""Label-aware smoothing (Zhong et al., CVPR 2021, MiSLAS)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from balpoe.config.bounds import Fraction
from balpoe.config.loss import LOSSES, Criterion, Loss, LossContext

Profile = Literal["concave", "linear", "convex"]
"""How the smoothing rises from the rarest to the most frequent class."""


@LOSSES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class LabelAwareSmoothing(Loss):
    """(1 − ε_y)·CE + ε_y·mean_c(−log p_c), with ε from `tail` to `head` by the class counts.

    The most frequent class has ε = `head`, the rarest `tail`; where all are equally frequent, all
    have `head`. The prior that it aims at is taken to be that of the cross-entropy, an
    approximation: smoothing draws scores to each other, more for frequent classes.
    """

    name: Literal["label_aware_smoothing"] = "label_aware_smoothing"
    head: Fraction = 0.4
    tail: Fraction = 0.1
    profile: Profile = "concave"

    def criterion(self, context: LossContext) -> Criterion:
        """Return the loss, which is the same for all experts."""
        from balpoe.method.losses.label_aware_smoothing.smoothed_labels import (
            SmoothedCrossEntropy,
            class_smoothing,
        )

        smoothing_c = class_smoothing(context.class_counts, self.head, self.tail, self.profile)
        return SmoothedCrossEntropy(smoothing_c.to(context.device).float())
