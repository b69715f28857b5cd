"""SADE's loss of three experts with diverse skills (Zhang et al., NeurIPS 2022, section 4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from balpoe.config.bounds import NonNegative
from balpoe.config.loss import LOSSES, Criterion, LossContext
from balpoe.errors import FieldProblem
from balpoe.method.losses.logit_adjustment import AdjustedLoss

if TYPE_CHECKING:
    from torch import Tensor

    from balpoe.config.configuration import Configuration

EXPERTS = 3


@LOSSES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class Sade(AdjustedLoss):
    """The sum of the cross-entropies of f_1, f_2 + log π and f_3 + log π − τ·log π̄.

    π̄ is π with its ranks reversed: the rarest class has the largest share. The loss equals three
    times that of logit adjustment with the biases 1, 0 and τ·log π̄_y/log π_y of each class, which
    is −τ where log π̄ + log π is constant and is left out; `experts` gives no biases.

    Classes with equal counts share their ranks: each has the geometric mean of the shares of these
    ranks. The authors' code takes the ranks of an unstable sort, by which such classes differ.
    """

    name: Literal["sade"] = "sade"
    tau: NonNegative = 2.0

    def adjustments(self, context: LossContext) -> Tensor:
        """Return the adjustments of the three experts."""
        import torch

        from balpoe.method.losses.sade.summed_losses import log_reversed_prior

        log_prior_c = context.prior_c.log()
        inverse_c = log_prior_c - self.tau * log_reversed_prior(context.class_counts)
        return torch.stack([torch.zeros_like(log_prior_c), log_prior_c, inverse_c])

    def criterion(self, context: LossContext) -> Criterion:
        """Return the loss: its mean over the experts of a network is the sum of their terms."""
        from balpoe.method.losses.sade.summed_losses import ScaledCriterion

        return ScaledCriterion(AdjustedLoss.criterion(self, context), context.network_experts)

    def problems(self, configuration: Configuration) -> Iterator[FieldProblem]:
        """Refuse other numbers of experts."""
        count = configuration.experts.count
        if count != EXPERTS:
            message = (
                f"must be {EXPERTS} with the loss sade, which has a term for each, got {count}"
            )
            yield FieldProblem("experts", message, ("count",))
