"""CutMix: a box of the partner's image, pasted (Yun et al., ICCV 2019, section 3.1).

S steps, D channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from balpoe.config.bounds import Fraction
from balpoe.config.mixing import MIXERS, Mixed, Mixer, Pairs

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxMixer(Mixer):
    """Paste a box of 1 − λ of the area, λ ~ Beta(α, α), in a share `probability` of the batches.

    λ of the labels is that of the box after clipping. All images of a batch have the same box.
    """

    probability: Fraction = 0.5

    def draw(
        self, alpha: float, steps: int, batch_size: int, generator: np.random.Generator
    ) -> Tensor:
        """Draw λ (1 in batches without a box) and the centre of each step, float64 [S, 3]."""
        from balpoe.method.mixers.cutmix.boxes import draw_boxes

        return draw_boxes(alpha, self.probability, steps, generator)

    def mix(
        self, images_bdhw: Tensor, partner_images_bdhw: Tensor, drawn: Tensor, pairs: Pairs
    ) -> Mixed:
        """Return the images with the box of their partners, and λ of the clipped box."""
        from balpoe.method.mixers.cutmix.boxes import pasted

        return pasted(images_bdhw, partner_images_bdhw, drawn)


@MIXERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class CutMix(BoxMixer):
    """Partners are a permutation of the batch.

    The authors use α = 1, and probability 0.5 on CIFAR, 1 on ImageNet.
    """

    name: Literal["cutmix"] = "cutmix"
