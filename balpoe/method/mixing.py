"""Mixup: convex combinations of images (Zhang et al., 2018; paper, section 3.4).

S steps. The matching combination of losses is `balpoe.method.logit_adjusted_losses.expert_losses`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def draw_xi(alpha: float, steps: int, generator: np.random.Generator) -> Tensor:
    """Draw one ξ ~ Beta(α, α) per step, float32 [S]; α = 0 gives ξ = 1 (ERM) without a draw."""
    if alpha == 0:
        return torch.ones(steps)
    return torch.from_numpy(generator.beta(alpha, alpha, size=steps).astype(np.float32))


def mix_images(images: Tensor, partner_images: Tensor, xi: Tensor) -> Tensor:
    """Return ξ·x + (1 − ξ)·x_partner in the shape and memory format of `images`; ξ is a scalar.

    Both ends are exact: ξ = 1 gives `images` to the last bit.
    """
    return partner_images.lerp(images, xi)
