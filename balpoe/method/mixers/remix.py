"""Remix: mixup whose labels favour the rarer class (Chou et al., ECCV workshops 2020).

S steps, B batch, D channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from balpoe.config.bounds import Fraction, Ratio
from balpoe.config.mixing import MIXERS, Mixed, Mixer, Pairs
from balpoe.method.mixers.mixup import combined, draw_xi

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@MIXERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class Remix(Mixer):
    """Mixup with one ξ for each batch; the label of a pair may go to its rarer class alone.

    It does where the larger class has at least `kappa` times as many images, and less than `tau`
    of the mixed image. The authors use α = 1.
    """

    name: Literal["remix"] = "remix"
    kappa: Ratio = 3.0
    tau: Fraction = 0.5

    def draw(
        self, alpha: float, steps: int, batch_size: int, generator: np.random.Generator
    ) -> Tensor:
        """Draw one ξ per step, float32 [S]."""
        return draw_xi(alpha, (steps,), generator)

    def mix(
        self, images_bdhw: Tensor, partner_images_bdhw: Tensor, drawn: Tensor, pairs: Pairs
    ) -> Mixed:
        """Return the combination by ξ, and the share of each label, [B]."""
        own_b = pairs.class_counts_c[pairs.labels_b]
        partner_b = pairs.class_counts_c[pairs.partner_labels_b]
        to_partner_b = (own_b >= self.kappa * partner_b) & (drawn < self.tau)
        to_own_b = (partner_b >= self.kappa * own_b) & (1 - drawn < self.tau)
        share_b = drawn.masked_fill(to_own_b, 1.0).masked_fill(to_partner_b, 0.0)
        return Mixed(combined(images_bdhw, partner_images_bdhw, drawn), share_b)
