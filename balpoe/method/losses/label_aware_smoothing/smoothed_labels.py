"""The cross-entropy with labels that are smoothed by class.

B batch, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from balpoe.config.loss import Criterion
from balpoe.method.losses.label_aware_smoothing import Profile


def class_smoothing(
    class_counts: Sequence[int], head: float, tail: float, profile: Profile
) -> Tensor:
    """Return the smoothing ε of each class: float64 [C]."""
    counts_c = torch.tensor(class_counts, dtype=torch.float64)
    spread = counts_c.max() - counts_c.min()
    rise_c = (counts_c - counts_c.min()) / spread if spread else torch.ones_like(counts_c)
    if profile == "concave":
        rise_c = torch.sin(rise_c * math.pi / 2)
    elif profile == "convex":
        rise_c = 1 - torch.cos(rise_c * math.pi / 2)
    return tail + (head - tail) * rise_c


class SmoothedCrossEntropy(Criterion):
    """(1 − ε_y)·(−log p_y) + ε_y·mean_c(−log p_c), with the float32 `smoothing_c`."""

    def __init__(self, smoothing_c: Tensor) -> None:
        self._smoothing_c = smoothing_c

    def per_image(self, expert: int, logits_bc: Tensor, labels_b: Tensor) -> Tensor:
        """Return the loss of each image: float32 [B]."""
        losses_bc = -logits_bc.log_softmax(dim=1)
        own_b = losses_bc.gather(1, labels_b[:, None]).squeeze(1)
        smoothing_b = self._smoothing_c.index_select(0, labels_b)
        return (1 - smoothing_b) * own_b + smoothing_b * losses_bc.mean(dim=1)
