"""Mixup or CutMix by batch, as in the released code of BalPoE (`combiner.py`).

S steps, D channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from balpoe.config.bounds import Fraction, Positive
from balpoe.config.mixing import MIXERS, Mixed, Mixer, Pairs
from balpoe.method.mixers.mixup import combined

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@MIXERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class MixupCutMix(Mixer):
    """CutMix in a share `cutmix_probability` of the batches, mixup in the others.

    `cutmix_alpha` is α of CutMix; `mixup.alpha` is that of mixup.
    """

    name: Literal["mixup_cutmix"] = "mixup_cutmix"
    cutmix_probability: Fraction = 0.5
    cutmix_alpha: Positive = 1.0

    def draw(
        self, alpha: float, steps: int, batch_size: int, generator: np.random.Generator
    ) -> Tensor:
        """Draw the box of each step and ξ of mixup, float64 [S, 4]: λ or ξ is 1."""
        import torch

        from balpoe.method.mixers.cutmix.boxes import draw_boxes

        box_s3 = draw_boxes(self.cutmix_alpha, 1.0, steps, generator)
        xi_s = torch.from_numpy(generator.beta(alpha, alpha, size=steps))
        cuts_s = torch.from_numpy(generator.random(steps) < self.cutmix_probability)
        box_s3[~cuts_s, 0] = 1.0
        return torch.column_stack([box_s3, xi_s.masked_fill(cuts_s, 1.0)])

    def mix(
        self, images_bdhw: Tensor, partner_images_bdhw: Tensor, drawn: Tensor, pairs: Pairs
    ) -> Mixed:
        """Mix by ξ, then paste the box: one of them changes nothing."""
        from balpoe.method.mixers.cutmix.boxes import pasted

        xi = drawn[3].to(images_bdhw.dtype)
        mixed = pasted(
            combined(images_bdhw, partner_images_bdhw, xi), partner_images_bdhw, drawn[:3]
        )
        return Mixed(mixed.images_bdhw, xi * mixed.xi)
