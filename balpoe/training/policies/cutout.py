"""Cutout (DeVries & Taylor, 2017): a square of each image is replaced by black.

The centre of the square is a uniformly drawn pixel, so that part of the square may lie outside of
the image. Black precedes normalisation, as in BalPoE's released code (`cutout`, one hole of 16
pixels); the code of DeVries and Taylor fills with zeros after normalisation: the mean colour.

N images, B batch, H height, W width, D channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

from balpoe.config.augmentation import POLICIES, DrawnOperations, Kernel, Operations, Policy
from balpoe.config.bounds import Bounds

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

CUTOUT: Final = 100
_PLACE_BITS: Final = 24  # all such integers are float32 numbers


@POLICIES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class Cutout(Policy):
    """`holes` black squares of `length` pixels (the next even number below) in every image."""

    name: Literal["cutout"] = "cutout"
    holes: Annotated[int, Bounds(at_least=1, at_most=10)] = 1
    length: Annotated[int, Bounds(at_least=2, at_most=4096)] = 16

    @property
    def possible(self) -> tuple[Operations, ...]:
        """A place for each hole."""
        return (frozenset({CUTOUT}),) * self.holes

    def draw(self, images: int, generator: np.random.Generator) -> DrawnOperations:
        """Choose the centres of the holes, whatever the size of the images, as whole numbers."""
        import numpy as np

        place_nl = generator.integers(2**_PLACE_BITS, size=(images, self.holes))
        operation_nl = np.full(place_nl.shape, CUTOUT, np.int32)
        return DrawnOperations(operation_nl, place_nl.astype(np.float32))

    def kernels(self) -> tuple[tuple[Operations, Kernel], ...]:
        """Return the kernel of the operation."""
        return ((frozenset({CUTOUT}), self._cut),)

    def _cut(self, pixels_bhwd: Tensor, operation_b: Tensor, magnitude_b: Tensor) -> Tensor:
        """Set the squares to black: uint8 [B, H, W, D]."""
        import torch

        _, height, width, _ = pixels_bhwd.shape
        centre_b11 = (magnitude_b.long() * (height * width) >> _PLACE_BITS)[:, None, None]
        below_h1 = torch.arange(height, device=pixels_bhwd.device)[:, None] - centre_b11 // width
        right_w = torch.arange(width, device=pixels_bhwd.device) - centre_b11 % width
        half = self.length // 2
        inside_bhw = (below_h1 >= -half) & (below_h1 < half) & (right_w >= -half) & (right_w < half)
        cut_bhw = inside_bhw & (operation_b == CUTOUT)[:, None, None]
        return pixels_bhwd.masked_fill(cut_bhw[..., None], 0)
