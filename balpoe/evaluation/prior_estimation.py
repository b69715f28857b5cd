"""Estimation of the class frequencies of unlabelled images from their predictions.

B batch, C classes. With p(c|x) the posterior of a scorer under its target prior P_trained,
w_bc = p(c|x_b)/P_trained(c) is the likelihood P(x_b|c) up to a constant per image. The estimated
frequencies q maximise the likelihood Σ_b log Σ_c q_c·w_bc. Expectation maximisation
(Saerens, Latinne and Decaestecker 2002, eq. 2.9) repeats q_c ← q_c·g_c(q) with
g_c(q) = mean_b w_bc / Σ_j q_j·w_bj.

The likelihood is concave in q and g is its gradient per image, so at any q no frequencies are
better by more than max_c g_c(q) − 1 nats per image (Lindsay 1983). The iteration ends when this
bound is below the tolerance: this certifies the optimum, whereas a small step may only be slow.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from balpoe.errors import DataError
from balpoe.evaluation.input_checks import refuse_non_finite_logits
from balpoe.method.priors import adjust_to_prior

TOLERANCE = 1e-5
"""In nats per image: far below C/2N, the random error of an estimate from N images."""

MAX_ITERATIONS = 1000
_ELEMENTS = 2**21  # converted to float64 at a time: 16 MiB


@dataclass(frozen=True, eq=False, slots=True)
class PriorEstimate:
    """Estimated class frequencies `prior_c`, float64 [C], which sum to 1.

    No other frequencies have a log-likelihood higher by more than `gap` nats per image.
    `converged` is whether the tolerance was reached within the maximal number of iterations.
    """

    prior_c: Tensor
    iterations: int
    gap: float
    converged: bool


def likelihood_ratios(logits_bc: Tensor, *, trained_prior_c: Tensor) -> Tensor:
    """Return w_bc, float32 [B, C], scaled so that the largest value of each row is 1.

    `logits_bc` are the logits of a scorer with the target prior `trained_prior_c`.

    Raises:
        NonFiniteError: a logit is NaN or infinite.
    """
    refuse_non_finite_logits(logits_bc.unsqueeze(1))
    uniform_c = torch.full_like(trained_prior_c, 1 / len(trained_prior_c))
    scores_bc = adjust_to_prior(
        logits_bc.to(torch.float64), trained_prior_c=trained_prior_c, test_prior_c=uniform_c
    )
    return (scores_bc - scores_bc.amax(dim=-1, keepdim=True)).exp().to(torch.float32)


def estimate_prior(
    ratios_bc: Tensor, *, tolerance: float = TOLERANCE, max_iterations: int = MAX_ITERATIONS
) -> PriorEstimate:
    """Return the most likely class frequencies of images with these `likelihood_ratios` [B, C].

    The ratios are read in slices, so they may lie in a memory-mapped file. The estimate is only as
    good as the calibration of the scorer: if it is overconfident, the estimate follows its errors.

    Raises:
        DataError: there are no images.
    """
    images, classes = ratios_bc.shape
    if images == 0:
        raise DataError("there are no images to estimate a prior from: give at least one")
    prior_c = torch.full((classes,), 1 / classes, dtype=torch.float64, device=ratios_bc.device)
    for iteration in range(max_iterations + 1):
        gradient_c = _gradient(ratios_bc, prior_c)
        gap = max(float(gradient_c.max()) - 1, 0.0)
        if gap <= tolerance or iteration == max_iterations:
            break
        prior_c = prior_c * gradient_c
        prior_c = prior_c / prior_c.sum()
    return PriorEstimate(prior_c, iteration, gap, gap <= tolerance)


def _gradient(ratios_bc: Tensor, prior_c: Tensor) -> Tensor:
    """The gradient of the mean log-likelihood, float64 [C]."""
    images, classes = ratios_bc.shape
    total_c = torch.zeros_like(prior_c)
    for slice_bc in torch.split(ratios_bc, max(1, _ELEMENTS // classes)):
        exact_bc = slice_bc.to(torch.float64)
        total_c += (exact_bc @ prior_c).reciprocal() @ exact_bc
    return total_c / images
