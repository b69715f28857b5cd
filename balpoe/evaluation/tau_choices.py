"""Corrections of a trained model's scores by one number τ, which is chosen on labelled images.

`logit_adjustment` scores f − τ·log π (Menon et al., ICLR 2021, eq. 9): a λ-expert gets the target
prior of λ' = λ − τ. `tau_norm` scores (f − b)·‖w‖^−τ for linear classifiers (Kang et al., ICLR
2020, eq. 3), which is taken to aim at equal frequencies. The chosen τ has the highest balanced
accuracy of the ensemble on images outside the training.

N images, E experts, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

import torch
from torch import Tensor

from balpoe.evaluation.scoring import Metrics, evaluate_product
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.method.priors import ExpertPriors, class_prior
from balpoe.method.tau_normalisation import tau_normalised_logits
from balpoe.method.tau_search import best_tau

CorrectionName = Literal["logit_adjustment", "tau_norm"]
PUBLISHED_TAU: Final = 1.0
"""The τ of Menon et al.; with it, weights are of length 1 in the other correction."""


class Correction(ABC):
    """A correction of the ensemble's scores by τ; τ = 0 changes no decision of classifiers."""

    name: ClassVar[CorrectionName]

    @abstractmethod
    def scores(self, logits_nec: Tensor, tau: float) -> Tensor:
        """Return the scores of the ensemble, float64 [N, C]."""

    @abstractmethod
    def aimed_prior(self, tau: float) -> Tensor:
        """Return the prior that the scores aim at, float64 [C]."""


class LogitAdjustment(Correction):
    """f − τ·log π for the class counts and the priors of the experts."""

    name = "logit_adjustment"

    def __init__(self, class_counts: Sequence[int], priors: ExpertPriors) -> None:
        self._log_prior_c = class_prior(class_counts).log()
        self._log_aimed_c = priors.of_product().log()

    def scores(self, logits_nec: Tensor, tau: float) -> Tensor:
        """Return the adjusted mean logits."""
        return product_of_experts(logits_nec).to(torch.float64) - tau * self._log_prior_c

    def aimed_prior(self, tau: float) -> Tensor:
        """Return P_λ̄·π^−τ, normalised."""
        return (self._log_aimed_c - tau * self._log_prior_c).softmax(dim=0)


class TauNormalisation(Correction):
    """(f − b)·‖w‖^−τ for the biases and the norms of linear classifiers, float64 [E, C]."""

    name = "tau_norm"

    def __init__(self, biases_ec: Tensor, norms_ec: Tensor) -> None:
        self._biases_ec = biases_ec
        self._norms_ec = norms_ec

    def scores(self, logits_nec: Tensor, tau: float) -> Tensor:
        """Return the mean logits of the normalised classifiers."""
        normalised_nec = tau_normalised_logits(logits_nec, self._biases_ec, self._norms_ec, tau)
        return product_of_experts(normalised_nec)

    def aimed_prior(self, tau: float) -> Tensor:
        """Return equal frequencies."""
        return torch.full_like(self._norms_ec[0], 1 / self._norms_ec.shape[1])


@dataclass(frozen=True, eq=False, slots=True)
class CorrectedImages:
    """Labelled images [N], the logits [N, E, C] of an ensemble for them, and their correction.

    `class_counts` are the training images of each class.
    """

    correction: Correction
    logits_nec: Tensor
    labels_n: Tensor
    class_counts: Sequence[int]

    def scores(self, tau: float) -> Tensor:
        """Return the corrected scores of the ensemble, float64 [N, C]."""
        return self.correction.scores(self.logits_nec, tau)

    def metrics(self, tau: float) -> Metrics:
        """Return the metrics of these scores."""
        return evaluate_product(
            self.scores(tau),
            self.labels_n,
            trained_prior_c=self.correction.aimed_prior(tau),
            class_counts=self.class_counts,
            is_final=True,
        )


@dataclass(frozen=True, eq=False, slots=True)
class TauRow:
    """The metrics of the ensemble with one τ; `validation` is None without images to choose on."""

    tau: float
    validation: Metrics | None
    test: Metrics
    is_chosen: bool


@dataclass(frozen=True, eq=False, slots=True)
class TauChoice:
    """A correction with τ = 0, the published τ and the chosen one, in ascending order.

    `origin` says on which images τ is chosen, or why it is not.
    """

    correction: CorrectionName
    rows: tuple[TauRow, ...]
    origin: str

    @property
    def chosen(self) -> TauRow | None:
        """The row with the chosen τ; None without images to choose on."""
        return next((row for row in self.rows if row.is_chosen), None)


def tau_choice(test: CorrectedImages, validation: CorrectedImages | None, origin: str) -> TauChoice:
    """Choose τ on images outside the training, if there are any, and score the test images.

    Raises:
        NonFiniteError: logits are NaN or infinite.
        DataError: there are no images, or a label is no class.
    """
    chosen = None if validation is None else best_tau(validation.scores, validation.labels_n)
    shown = {0.0, PUBLISHED_TAU} if chosen is None else {0.0, PUBLISHED_TAU, chosen}
    rows = (
        TauRow(
            tau,
            None if validation is None else validation.metrics(tau),
            test.metrics(tau),
            tau == chosen,
        )
        for tau in sorted(shown)
    )
    return TauChoice(test.correction.name, tuple(rows), origin)
