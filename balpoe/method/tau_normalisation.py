"""τ-normalisation of linear classifiers (Kang et al., ICLR 2020, eq. 3).

N images, E experts, C classes, K features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

TAUS: Final = tuple(step / 10 for step in range(21))
"""The values of τ among which the released code shows the accuracy: 0, 0.1, … 2."""


def tau_normalised(weight_ck: Tensor, tau: float) -> Tensor:
    """Return w_c/‖w_c‖^τ, [C, K] in the dtype of the weights; rows of zeros stay as they are."""
    factors_c = norm_factors(weight_ck.norm(dim=1), tau)
    return (weight_ck * factors_c.unsqueeze(1)).to(weight_ck.dtype)


def norm_factors(norms_ec: Tensor, tau: float) -> Tensor:
    """Return ‖w‖^−τ, float64, and 1 where the norm is 0; norms of any shape."""
    norms_ec = norms_ec.to(torch.float64)
    return torch.where(norms_ec > 0, norms_ec, 1.0) ** -tau


def tau_normalised_logits(
    logits_nec: Tensor, biases_ec: Tensor, norms_ec: Tensor, tau: float
) -> Tensor:
    """Return (f − b)·‖w‖^−τ, the logits [N, E, C] of the normalised classifiers, in float64."""
    unbiased_nec = logits_nec.to(torch.float64) - biases_ec.to(torch.float64)
    return unbiased_nec * norm_factors(norms_ec, tau)


def best_tau(
    logits_nec: Tensor,
    labels_n: Tensor,
    biases_ec: Tensor,
    norms_ec: Tensor,
    taus: Sequence[float] = TAUS,
) -> float:
    """Return the τ whose mean logits have the highest balanced accuracy; the lowest of equal ones.

    Classes without images do not count.
    """
    counts_c = torch.bincount(labels_n, minlength=logits_nec.shape[-1])
    weights_n = 1 / counts_c[labels_n].to(torch.float64)

    def accuracy(tau: float) -> float:
        scores_nec = tau_normalised_logits(logits_nec, biases_ec, norms_ec, tau)
        hits_n = scores_nec.mean(dim=1).argmax(dim=-1) == labels_n
        return float((weights_n * hits_n).sum())

    return max(taus, key=lambda tau: (round(accuracy(tau), 9), -tau))
