"""The focal loss and its forms with class weights.

B batch, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from balpoe.config.loss import Criterion


def focal(losses_b: Tensor, gamma: float) -> Tensor:
    """Return (1 − p)^γ·ℓ for the losses ℓ = −log p, of the same shape."""
    missing_b = -torch.expm1(-losses_b)
    # the derivative of x^γ at 0 is infinite for γ < 1, and 0 times it is no number
    return missing_b.clamp_min(torch.finfo(losses_b.dtype).tiny) ** gamma * losses_b


class FocalCriterion(Criterion):
    """(1 − p_y)^γ·CE."""

    def __init__(self, gamma: float) -> None:
        self._gamma = gamma

    def per_image(self, expert: int, logits_bc: Tensor, labels_b: Tensor) -> Tensor:
        """Return the loss of each image: float32 [B]."""
        return focal(functional.cross_entropy(logits_bc, labels_b, reduction="none"), self._gamma)


class FocalOfWeighted(Criterion):
    """(1 − p)^γ·w_y·CE with p = exp(−w_y·CE): the weights change the modulation, too."""

    def __init__(self, gamma: float, weights_c: Tensor) -> None:
        self._gamma = gamma
        self._weights_c = weights_c

    def per_image(self, expert: int, logits_bc: Tensor, labels_b: Tensor) -> Tensor:
        """Return the loss of each image: float32 [B]."""
        losses_b = functional.cross_entropy(logits_bc, labels_b, reduction="none")
        return focal(self._weights_c.index_select(0, labels_b) * losses_b, self._gamma)


class SigmoidFocal(Criterion):
    """Σ_c (1 − p_c)^γ·(−log p_c), p_c = σ(f_c) for the label and σ(−f_c) for other classes."""

    def __init__(self, gamma: float) -> None:
        self._gamma = gamma

    def per_image(self, expert: int, logits_bc: Tensor, labels_b: Tensor) -> Tensor:
        """Return the loss of each image: float32 [B]."""
        classes_c = torch.arange(logits_bc.shape[1], device=logits_bc.device)
        agreeing_bc = torch.where(labels_b[:, None] == classes_c, logits_bc, -logits_bc)
        # 1 − σ(x) = exp(−softplus(x))
        modulation_bc = torch.exp(-self._gamma * functional.softplus(agreeing_bc))
        return (modulation_bc * functional.softplus(-agreeing_bc)).sum(dim=1)
