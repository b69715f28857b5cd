"""The choice of a τ by which scores are corrected after the training.

N images, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

TAUS: Final = tuple(step / 10 for step in range(21))
"""The values that are tried: 0, 0.1, … 2, as in the released code of Kang et al., ICLR 2020."""


def best_tau(scores_of: Callable[[float], Tensor], labels_n: Tensor) -> float:
    """Return the τ of `TAUS` with the highest balanced accuracy; the lowest of equal ones.

    `scores_of` returns the scores [N, C] for a τ. Classes without images do not count.
    """
    images_n = torch.bincount(labels_n)[labels_n].to(torch.float64)

    def accuracy(tau: float) -> float:
        hits_n = scores_of(tau).argmax(dim=1) == labels_n
        return float((hits_n / images_n).sum())

    # rounded, because sums of equal terms in another order are equal but for rounding
    return max(TAUS, key=lambda tau: (round(accuracy(tau), 9), -tau))
