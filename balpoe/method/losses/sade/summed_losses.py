"""The reversed prior of SADE, and a loss that is summed over experts.

B batch, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from balpoe.config.loss import Criterion, Targets


def log_reversed_prior(class_counts: Sequence[int]) -> Tensor:
    """Return log π̄, π with its ranks reversed: float64 [C].

    Every class has images. Classes with equal counts have the mean of log π over their ranks.
    """
    counts_c = torch.tensor(class_counts, dtype=torch.float64)
    ascending_c = counts_c.sort().values
    log_shares_c = (ascending_c / ascending_c.sum()).log().flip(0)
    sums = torch.cat([torch.zeros(1, dtype=torch.float64), log_shares_c.cumsum(0)])
    first_c = torch.searchsorted(ascending_c, counts_c)
    end_c = torch.searchsorted(ascending_c, counts_c, right=True)
    return (sums[end_c] - sums[first_c]) / (end_c - first_c)


class ScaledCriterion(Criterion):
    """Another loss times `factor`."""

    def __init__(self, unscaled: Criterion, factor: float) -> None:
        self._unscaled = unscaled
        self._factor = factor

    def per_image(self, expert: int, logits_bc: Tensor, labels_b: Tensor) -> Tensor:
        """Return the loss of each image: float32 [B]."""
        return self._factor * self._unscaled.per_image(expert, logits_bc, labels_b)

    def mean(self, expert: int, logits_bc: Tensor, targets: Targets) -> Tensor:
        """Return the mean over the batch."""
        return self._factor * self._unscaled.mean(expert, logits_bc, targets)
