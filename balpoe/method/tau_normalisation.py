"""τ-normalisation of linear classifiers (Kang et al., ICLR 2020, eq. 3).

N images, E experts, C classes, K features.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
