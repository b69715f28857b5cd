"""RandAugment (Cubuk et al., 2020) with the operations and magnitudes of the released code.

That code takes the form which timm gave it: fifteen operations, whose magnitudes of 0..10 vary
around a given one, and each happens with a probability. Here the nearest pixel is moved and black
comes in from outside; there the interpolation is drawn too, and the mean colour comes in.

N images, L operations in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from balpoe.config import RandAugmentConfig
from balpoe.training.operations import GEOMETRIC, Operation, Operations
from balpoe.training.policy import DrawnOperations, Policy
from balpoe.training.streams import Purpose

Levels = npt.NDArray[np.float64]


def _up_to(most: float) -> Callable[[Levels], Levels]:
    return lambda level: level / 10 * most


def _whole_up_to(most: float) -> Callable[[Levels], Levels]:
    return lambda level: np.trunc(level / 10 * most)


def _excess(level: Levels) -> Levels:
    return level / 10 * 1.8 - 0.9


MAGNITUDES: Final[Mapping[Operation, Callable[[Levels], Levels]]] = {
    Operation.AUTO_CONTRAST: _up_to(0),
    Operation.EQUALISE: _up_to(0),
    Operation.INVERT: _up_to(0),
    Operation.ROTATE: _up_to(30),
    Operation.POSTERISE: _whole_up_to(4),
    Operation.SOLARISE: _whole_up_to(256),
    Operation.SOLARISE_ADD: _whole_up_to(110),
    Operation.COLOUR: _excess,
    Operation.CONTRAST: _excess,
    Operation.BRIGHTNESS: _excess,
    Operation.SHARPNESS: _excess,
    Operation.SHEAR_X: _up_to(0.3),
    Operation.SHEAR_Y: _up_to(0.3),
    Operation.TRANSLATE_X: _up_to(0.45),
    Operation.TRANSLATE_Y: _up_to(0.45),
}
"""What a level of 0..10 means for each operation; those that move pixels go either way."""


class RandAugment(Policy):
    """Each image is given operations at random, equally often and independent of one another."""

    def __init__(self, config: RandAugmentConfig) -> None:
        self._config = config

    @property
    def purpose(self) -> Purpose:
        """The stream that it draws from."""
        return Purpose.RAND_AUGMENT

    @property
    def possible(self) -> tuple[Operations, ...]:
        """All operations at every place."""
        return (frozenset(MAGNITUDES),) * self._config.operations

    def draw(self, images: int, generator: np.random.Generator) -> DrawnOperations:
        """Choose for N = `images` images."""
        config, shape = self._config, (images, self._config.operations)
        chosen_nl = np.array(list(MAGNITUDES), np.int32)[
            generator.integers(len(MAGNITUDES), size=shape)
        ]
        happens_nl = generator.random(shape) < config.probability
        level_nl = generator.normal(config.magnitude, config.magnitude_sd, shape).clip(0, 10)
        sign_nl = generator.choice((-1, 1), shape)
        magnitude_nl = np.zeros(shape)
        for operation, of_level in MAGNITUDES.items():
            sign = sign_nl if operation in GEOMETRIC else 1
            magnitude_nl = np.where(chosen_nl == operation, sign * of_level(level_nl), magnitude_nl)
        operation_nl = np.where(happens_nl, chosen_nl, Operation.IDENTITY)
        return DrawnOperations(operation_nl.astype(np.int32), magnitude_nl.astype(np.float32))
