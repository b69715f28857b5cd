"""No mixing, whatever `mixup.alpha` is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from balpoe.config.mixing import MIXERS, Mixed, Mixer, Pairs

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@MIXERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class NoMixing(Mixer):
    """Each image stays as it is: a training draws no partners."""

    mixes: ClassVar[bool] = False

    name: Literal["none"] = "none"

    def draw(
        self, alpha: float, steps: int, batch_size: int, generator: np.random.Generator
    ) -> Tensor:
        """Return ξ = 1 for each step, float32 [S]."""
        import torch

        return torch.ones(steps)

    def mix(
        self, images_bdhw: Tensor, partner_images_bdhw: Tensor, drawn: Tensor, pairs: Pairs
    ) -> Mixed:
        """Return the images, and ξ = 1."""
        return Mixed(images_bdhw, drawn)
