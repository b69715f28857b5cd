"""RIDE's loss of experts that differ (Wang et al., ICLR 2021, section 3), without its router."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from balpoe.config.bounds import Fraction, Real
from balpoe.config.loss import LOSSES, Criterion, LossContext
from balpoe.errors import FieldProblem
from balpoe.method.losses.ldam import MarginLoss

if TYPE_CHECKING:
    from balpoe.config.configuration import Configuration


@LOSSES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class Ride(MarginLoss):
    """The sum over experts of LDAM and d·T̄²·KL(softmax(f̄/T) ‖ softmax(f_e/T)).

    f̄ are the mean logits, which pass no gradient on, and d is `diversity`, below 0 to move experts
    apart. T is 1 until the class weights of the section `reweighting` begin; then
    T_c ∝ 1 − ρ + ρ·C·π_c with the largest at 1, ρ is `rho` and T̄ the mean. The paper defines the
    divergence between pairs of experts; this is the authors' code.
    """

    name: Literal["ride"] = "ride"
    diversity: Real = -0.45
    rho: Fraction = 0.05

    def criterion(self, context: LossContext) -> Criterion:
        """Return the joint loss of all experts."""
        from balpoe.method.losses.ldam.margin_cross_entropy import margin_cross_entropy
        from balpoe.method.losses.ride.diverse_experts import DiverseExperts, class_temperatures

        temperatures_c = class_temperatures(context.prior_c, self.rho)
        return DiverseExperts(
            margin_cross_entropy(context, self.largest_margin),
            temperatures_c.to(context.device).float(),
            context.epochs if context.reweighted_from is None else context.reweighted_from,
            diversity=self.diversity,
        )

    def problems(self, configuration: Configuration) -> Iterator[FieldProblem]:
        """Refuse a linear classifier, and experts without others on the same images."""
        yield from MarginLoss.problems(self, configuration)
        experts = configuration.experts
        if experts.count == 1:
            message = "must be at least 2 with the loss ride, which moves experts apart, got 1"
            yield FieldProblem("experts", message, ("count",))
        elif experts.sharing == "independent":
            message = (
                "must be shared or linear with the loss ride, which compares experts on the same "
                "images, got independent"
            )
            yield FieldProblem("experts", message, ("sharing",))
