"""Bayias, the Bayes bias of the method UniMix + Bayias (Xu et al., NeurIPS 2021, eq. 14, 15)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from balpoe.config.loss import LOSSES, LossContext
from balpoe.method.losses.logit_adjustment import AdjustedLoss

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class Bayias(AdjustedLoss):
    """Cross-entropy of f + B with B = log π + log C, for every expert.

    The same loss as logit adjustment with λ = 0 (balanced softmax), because a constant changes
    nothing; `experts` gives no biases.
    """

    name: Literal["bayias"] = "bayias"

    def adjustments(self, context: LossContext) -> Tensor:
        """Return B for each expert."""
        bias_c = context.prior_c.log() + math.log(len(context.prior_c))
        return bias_c.expand(len(context.lambdas_ex), -1)
