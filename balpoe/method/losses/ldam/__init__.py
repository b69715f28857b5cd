"""The label-distribution-aware margin loss (Cao et al., NeurIPS 2019, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from balpoe.config.bounds import Positive
from balpoe.config.loss import LOSSES, Criterion, Loss, LossContext
from balpoe.errors import FieldProblem

if TYPE_CHECKING:
    from balpoe.config.configuration import Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginLoss(Loss):
    """A loss with margins m_y ∝ n_y^(−1/4) between cosines; abstract.

    The rarest class has `largest_margin`. The prior that such a loss aims at is taken to be that of
    the cross-entropy with the class weights, an approximation: margins have no such prior.
    """

    largest_margin: Positive = 0.5

    def problems(self, configuration: Configuration) -> Iterator[FieldProblem]:
        """Refuse a classifier whose logits are not cosines."""
        classifier = configuration.model.classifier
        if classifier != "cosine":
            message = (
                f"must be cosine with the loss {self.name}, whose margins are differences of "
                f"cosines, got {classifier}"
            )
            yield FieldProblem("model", message, ("classifier",))


@LOSSES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class Ldam(MarginLoss):
    """Cross-entropy of κ·(cos − m_y·1[y]); κ is `model.cosine_scale`.

    With the section `reweighting` it is LDAM-DRW.
    """

    name: Literal["ldam"] = "ldam"

    def criterion(self, context: LossContext) -> Criterion:
        """Return the loss, which is the same for all experts."""
        from balpoe.method.losses.ldam.margin_cross_entropy import margin_cross_entropy

        return margin_cross_entropy(context, self.largest_margin)
