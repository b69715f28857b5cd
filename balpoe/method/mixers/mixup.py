"""Mixup: convex combinations of images (Zhang et al., 2018; paper, section 3.4).

S steps, B batch, D channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from balpoe.config.mixing import MIXERS, Mixed, Mixer, Pairs

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@MIXERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class Mixup(Mixer):
    """ξ·x + (1 − ξ)·x_partner, with one ξ ~ Beta(α, α) for each batch."""

    name: Literal["mixup"] = "mixup"

    def draw(
        self, alpha: float, steps: int, batch_size: int, generator: np.random.Generator
    ) -> Tensor:
        """Draw one ξ per step, float32 [S]."""
        return draw_xi(alpha, (steps,), generator)

    def mix(
        self, images_bdhw: Tensor, partner_images_bdhw: Tensor, drawn: Tensor, pairs: Pairs
    ) -> Mixed:
        """Return the combination of the images, and ξ (`drawn`, a scalar) for the labels."""
        return Mixed(combined(images_bdhw, partner_images_bdhw, drawn), drawn)


def draw_xi(alpha: float, shape: tuple[int, ...], generator: np.random.Generator) -> Tensor:
    """Draw ξ ~ Beta(α, α): float32 of this shape."""
    import numpy as np
    import torch

    return torch.from_numpy(generator.beta(alpha, alpha, size=shape).astype(np.float32))


def combined(images_bdhw: Tensor, partner_images_bdhw: Tensor, xi: Tensor) -> Tensor:
    """Return ξ·x + (1 − ξ)·x_partner, with ξ for the batch ([]) or for each image ([B]).

    Both ends are exact: ξ = 1 gives `images_bdhw` to the last bit.
    """
    weight = xi[:, None, None, None] if xi.ndim else xi
    return partner_images_bdhw.lerp(images_bdhw, weight)
