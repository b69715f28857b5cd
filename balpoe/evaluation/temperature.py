"""Temperature scaling: one number that corrects over- or underconfidence of a scorer.

B batch, E experts, C classes. A scorer f of the target prior P_e is trained as g = f + o, whose
prior is that of the training draws: for logit adjustment the offset o is (1 − λ)·log π, and the
prior of g is π. It is g that is overconfident: g/T is scaled, and the result g/T − o has the target
prior P_e again. On `gaussian_lt` that is closer to the true posterior than f/T, which was scaled
before (docs/numbers.md).

With β = 1/T the loss of softmax(β·f + s) on labelled images is convex in β for any fixed shift s of
log priors (Guo et al. 2017, Sec. 4.2, for s = 0): its derivative, mean_b(E_p[f_b] − f_b,y), is
increasing. Its root is bracketed and found by Newton's method, with bisection where a step would
leave the bracket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from balpoe.evaluation.image_weights import balanced_weights
from balpoe.evaluation.input_checks import refuse_non_finite_logits
from balpoe.method.calibration_bins import refuse_impossible_labels
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.method.priors import ExpertPriors

LOWEST, HIGHEST = 0.01, 100.0
"""The range of temperatures. The optimum is 0 for a scorer that is right about every image, and
infinite for a scorer that is no better than chance: the result is then the nearest bound."""

_STEPS = 100
_PRECISION = 1e-12


@dataclass(frozen=True, slots=True)
class Temperatures:
    """The divisors of a scorer: one for the product of experts, and one for each expert.

    `scaled` is what they divide: the logits f, in models of earlier versions, or the scorer of the
    training, g.
    """

    ensemble: float
    experts: tuple[float, ...]
    scaled: Literal["logits", "training_scorer"] = "logits"


def fit_temperatures(logits_bec: Tensor, labels_b: Tensor, *, priors: ExpertPriors) -> Temperatures:
    """Return the temperatures of least negative log-likelihood, with equal class weights.

    The scorers of the training are scaled and adjusted from the prior of its draws to the posterior
    of a balanced set. All experts then have the same scale of log P(x|y), and the target prior of
    the mean of their scaled logits is still that of the product (Theorem 1).

    Raises:
        NonFiniteError: a logit is NaN or infinite.
        DataError: there are no images, or a label is no class.
    """
    _, experts, classes = logits_bec.shape
    assert experts == priors.count
    refuse_non_finite_logits(logits_bec)
    refuse_impossible_labels(labels_b, classes)
    images_c = torch.bincount(labels_b, minlength=classes)
    weights_b = balanced_weights(labels_b, images_c)
    scorers_bec = logits_bec.to(torch.float64) + priors.training_offsets_ec
    shift_c = -priors.log_drawn_c

    def fit(scorer_bc: Tensor) -> float:
        return fit_temperature(scorer_bc, labels_b, shift_c=shift_c, weights_b=weights_b)

    return Temperatures(
        ensemble=fit(product_of_experts(scorers_bec)),
        experts=tuple(fit(scorers_bec[:, e]) for e in range(experts)),
        scaled="training_scorer",
    )


def fit_temperature(
    logits_bc: Tensor, labels_b: Tensor, *, shift_c: Tensor, weights_b: Tensor
) -> float:
    """Return the T in `LOWEST` to `HIGHEST` for which softmax(f/T + s) has the least weighted loss.

    `shift_c` [C] is finite; `weights_b` [B] are non-negative and not all 0.
    """
    logits_bc = logits_bc.to(torch.float64)
    below, above = 1 / HIGHEST, 1 / LOWEST
    if _slope(logits_bc, labels_b, shift_c, weights_b, below)[0] >= 0:
        return HIGHEST
    if _slope(logits_bc, labels_b, shift_c, weights_b, above)[0] <= 0:
        return LOWEST
    beta = 1.0
    for _ in range(_STEPS):
        slope, curvature = _slope(logits_bc, labels_b, shift_c, weights_b, beta)
        below, above = (beta, above) if slope < 0 else (below, beta)
        newton = beta - slope / curvature if curvature > 0 else below
        proposed = newton if below <= newton <= above else (below + above) / 2
        if abs(proposed - beta) <= _PRECISION * beta:
            break
        beta = proposed
    return 1 / proposed


def _slope(
    logits_bc: Tensor, labels_b: Tensor, shift_c: Tensor, weights_b: Tensor, beta: float
) -> tuple[float, float]:
    """First and second derivative of the mean loss in β: E_p[f] − f_y and the variance of f."""
    probabilities_bc = (beta * logits_bc + shift_c).softmax(dim=-1)
    expected_b = (probabilities_bc * logits_bc).sum(dim=-1)
    deviations_bc = logits_bc - expected_b.unsqueeze(1)
    variance_b = (probabilities_bc * deviations_bc.square()).sum(dim=-1)
    excess_b = expected_b - logits_bc[torch.arange(len(labels_b)), labels_b]
    total = weights_b.sum()
    return float((weights_b * excess_b).sum() / total), float(
        (weights_b * variance_b).sum() / total
    )
