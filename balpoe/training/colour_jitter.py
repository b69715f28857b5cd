"""Brightness, contrast and saturation by random factors in a random order.

torchvision's ColorJitter without its hue.

N images.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from balpoe.training.operations import Operation, Operations
from balpoe.training.policy import DrawnOperations, Policy
from balpoe.training.streams import Purpose

JITTERED: Final = (Operation.BRIGHTNESS, Operation.CONTRAST, Operation.COLOUR)


class ColourJitter(Policy):
    """Each image is blended three times, with factors uniform in [1 − strength, 1 + strength]."""

    def __init__(self, strength: float) -> None:
        self._strength = strength

    @property
    def purpose(self) -> Purpose:
        """The stream that it draws from."""
        return Purpose.COLOUR_JITTER

    @property
    def possible(self) -> tuple[Operations, ...]:
        """Each at every place, because the order is drawn too."""
        return (frozenset(JITTERED),) * len(JITTERED)

    def draw(self, images: int, generator: np.random.Generator) -> DrawnOperations:
        """Choose for N = `images` images."""
        operation_n3 = generator.permuted(
            np.tile(np.array(JITTERED, np.int32), (images, 1)), axis=1
        )
        excess_n3 = generator.uniform(-self._strength, self._strength, operation_n3.shape)
        return DrawnOperations(operation_n3, excess_n3.astype(np.float32))
