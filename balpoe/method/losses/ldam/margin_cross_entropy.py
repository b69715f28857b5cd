"""The cross-entropy with a margin for each class.

B batch, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from balpoe.config.loss import Criterion, LossContext


def class_margins(class_counts: Sequence[int], largest: float) -> Tensor:
    """Return n^(−1/4), scaled so that the largest is `largest`: float64 [C].

    Every class has images (Cao et al., NeurIPS 2019, section 3.2).
    """
    margins_c = torch.tensor(class_counts, dtype=torch.float64) ** -0.25
    return margins_c * (largest / margins_c.max())


def margin_cross_entropy(context: LossContext, largest_margin: float) -> MarginCrossEntropy:
    """Return the loss on the device of a training, with margins in the scale of the logits."""
    margins_c = context.logit_scale * class_margins(context.class_counts, largest_margin)
    return MarginCrossEntropy(margins_c.to(context.device).float())


class MarginCrossEntropy(Criterion):
    """The cross-entropy of logits less the float32 `margins_c[y]` of their label y."""

    def __init__(self, margins_c: Tensor) -> None:
        self._margins_c = margins_c
        self._classes_c = torch.arange(len(margins_c), device=margins_c.device)

    def per_image(self, expert: int, logits_bc: Tensor, labels_b: Tensor) -> Tensor:
        """Return the loss of each image: float32 [B]."""
        margins_bc = (labels_b[:, None] == self._classes_c) * self._margins_c
        return functional.cross_entropy(logits_bc - margins_bc, labels_b, reduction="none")
