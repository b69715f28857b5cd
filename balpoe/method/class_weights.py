"""Weights and sampling probabilities of classes, from their numbers of training images.

C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from balpoe.config.configuration import ClassSampling


def effective_number_weights(class_counts: Sequence[int], beta: float) -> Tensor:
    """Return weights (1 − β)/(1 − β^n), scaled to the sum C: float64 [C].

    Every class has images. β = 0 gives 1 for each class (Cui et al., CVPR 2019, eq. 2).
    """
    counts_c = torch.tensor(class_counts, dtype=torch.float64)
    if beta == 0:
        return torch.ones_like(counts_c)
    # 1 − β^n by `expm1`: the difference loses its digits where β^n is near 1
    inverse_c = -1 / torch.expm1(counts_c * math.log(beta))
    return inverse_c * (len(counts_c) / inverse_c.sum())


def class_probabilities(
    sampling: ClassSampling, class_counts: Sequence[int], progress: float
) -> Tensor:
    """Return the share of each class in the draws of an epoch: float64 [C].

    Classes without images are never drawn. `progress` is 0 in the first and 1 in the last epoch,
    which matters for `progressive` (Kang et al., ICLR 2020, eq. 1 and 2, as in the released code).
    """
    counts_c = torch.tensor(class_counts, dtype=torch.float64)
    by_image_c = counts_c / counts_c.sum()
    balanced_c = (counts_c > 0) / (counts_c > 0).sum(dtype=torch.float64)
    if sampling == "class_balanced":
        return balanced_c
    if sampling == "square_root":
        return counts_c.sqrt() / counts_c.sqrt().sum()
    if sampling == "progressive":
        return (1 - progress) * by_image_c + progress * balanced_c
    return by_image_c
