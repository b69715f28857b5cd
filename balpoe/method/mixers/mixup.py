"""Mixup: convex combinations of images (Zhang et al., 2018; paper, section 3.4)."""

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
        import numpy as np
        import torch

        return torch.from_numpy(generator.beta(alpha, alpha, size=steps).astype(np.float32))

    def mix(
        self, images_bdhw: Tensor, partner_images_bdhw: Tensor, drawn: Tensor, pairs: Pairs
    ) -> Mixed:
        """Return the combination of the images, and ξ (`drawn`, a scalar) for the labels.

        Both ends are exact: ξ = 1 gives `images_bdhw` to the last bit.
        """
        return Mixed(partner_images_bdhw.lerp(images_bdhw, drawn), drawn)
