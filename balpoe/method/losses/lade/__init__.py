"""LADE, the label distribution disentangling loss (Hong et al., CVPR 2021, section 3)."""

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


@LOSSES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class Lade(AdjustedLoss):
    """Cross-entropy of f + log π, and `alpha` times a term over the batch.

    The term is −Σ_c π_c·(mean f_c of the images of c − L_c − ρ·L_c²) with
    L_c = log mean_i exp(f_ic − log π_c − log C), as the authors' code. It is a lower bound of the
    divergence between each class and the mixture of equally frequent classes, with the penalty ρ
    (`rho`). Class weights apply to the cross-entropy alone.
    """

    name: Literal["lade"] = "lade"
    alpha: NonNegative = 0.1
    rho: NonNegative = 0.1

    def adjustments(self, context: LossContext) -> Tensor:
        """Return log π for each expert."""
        return context.prior_c.log().expand(len(context.lambdas_ex), -1)

    def criterion(self, context: LossContext) -> Criterion:
        """Return the loss, which is the same for all experts."""
        from balpoe.method.losses.lade.disentangling import LadeCriterion

        prior_c = context.prior_c.to(context.device).float()
        cross_entropy = AdjustedLoss.criterion(self, context)
        return LadeCriterion(cross_entropy, prior_c, alpha=self.alpha, rho=self.rho)

    def problems(self, configuration: Configuration) -> Iterator[FieldProblem]:
        """Refuse mixed images, which have no class, and parts of a batch."""
        alpha, accumulate = configuration.mixup.alpha, configuration.training.accumulate
        if configuration.mixes:
            message = (
                f"must be 0 with the loss lade, which needs the images of each class, and mixed "
                f"images have two, got {alpha}; or set mixing: none"
            )
            yield FieldProblem("mixup", message, ("alpha",))
        if accumulate > 1:
            message = (
                f"must be 1 with the loss lade, which is no mean over images, got {accumulate}"
            )
            yield FieldProblem("training", message, ("accumulate",))
