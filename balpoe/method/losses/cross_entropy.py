"""The cross-entropy, which every expert minimises without an adjustment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from balpoe.config.loss import LOSSES, LossContext
from balpoe.method.losses.logit_adjustment import AdjustedLoss

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class CrossEntropy(AdjustedLoss):
    """−log softmax(f)_y, the loss of logit adjustment with λ = 1; `experts` gives no biases."""

    name: Literal["cross_entropy"] = "cross_entropy"

    def adjustments(self, context: LossContext) -> Tensor:
        """Return 0 for each expert and class."""
        return context.prior_c.new_zeros(len(context.lambdas_ex), len(context.prior_c))
