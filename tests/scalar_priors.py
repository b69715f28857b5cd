"""The priors of experts that are trained by logit adjustment with one λ each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from balpoe.method.priors import ExpertPriors


def scalar_priors(prior_c: Tensor, lambdas: Sequence[float]) -> ExpertPriors:
    """Return P_λ of each expert for the training prior `prior_c`."""
    log_prior_c = prior_c.double().log()
    return ExpertPriors(torch.stack([lam * log_prior_c for lam in lambdas]), log_prior_c)
