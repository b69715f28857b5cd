"""The class-balanced cross-entropy (Cui et al., CVPR 2019, eq. 2, section 4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from balpoe.config.loss import (
    LOSSES,
    Criterion,
    EffectiveNumberBeta,
    Loss,
    LossContext,
    WeightNormalisation,
)
from balpoe.errors import FieldProblem

if TYPE_CHECKING:
    from torch import Tensor

    from balpoe.config.configuration import Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassBalancedLoss(Loss):
    """A loss that weights classes by w = (1 − β)/(1 − β^n), scaled to a mean of 1; abstract."""

    beta: EffectiveNumberBeta = 0.9999

    def weights(self, context: LossContext) -> Tensor:
        """Return w: float64 [C], on the CPU."""
        from balpoe.method.class_weights import effective_number_weights

        return effective_number_weights(context.class_counts, self.beta)

    def log_target_priors(self, context: LossContext) -> Tensor:
        """Return log(π·w), with π the share of the classes in the draws."""
        return Loss.log_target_priors(self, context) + self.weights(context).log()

    def problems(self, configuration: Configuration) -> Iterator[FieldProblem]:
        """Refuse further class weights."""
        beta = configuration.reweighting.beta
        if beta:
            message = (
                f"must be 0 with the loss {self.name}, which has class weights of its own, got "
                f"{beta}: leave reweighting out"
            )
            yield FieldProblem("reweighting", message, ("beta",))


@LOSSES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class ClassBalanced(ClassBalancedLoss):
    """w_y·CE. Class weights that begin later are those of the section `reweighting`.

    `normalisation` divides the sum over a batch by its Σ w (`batch`), as the code of LDAM, or by
    its number of `images`, as Cui et al. The two differ by a factor in each batch.
    """

    name: Literal["class_balanced"] = "class_balanced"
    normalisation: WeightNormalisation = "batch"

    def criterion(self, context: LossContext) -> Criterion:
        """Return the weighted cross-entropy, the same for all experts."""
        from balpoe.method.losses.class_balanced.weighted_criterion import WeightedCriterion
        from balpoe.method.losses.cross_entropy import CrossEntropy

        weights_c = self.weights(context).to(context.device).float()
        plain = CrossEntropy().criterion(context)
        return WeightedCriterion(plain, weights_c, self.normalisation)

    def problems(self, configuration: Configuration) -> Iterator[FieldProblem]:
        """Refuse further class weights, and parts of a batch, which have weights of their own."""
        yield from ClassBalancedLoss.problems(self, configuration)
        if self.normalisation == "batch" and configuration.training.accumulate > 1:
            message = (
                "batch needs the weights of whole batches: set training.accumulate: 1, or images "
                "here"
            )
            yield FieldProblem("loss", message, ("normalisation",))
