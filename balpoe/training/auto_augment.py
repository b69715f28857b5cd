"""AutoAugment with the policy found on CIFAR-10 (Cubuk et al., CVPR 2019, Table 7).

N images, P sub-policies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch

from balpoe.training.operations import BLENDS, GEOMETRIC, Operation, Operations
from balpoe.training.policy import DrawnOperations, Policy
from balpoe.training.streams import Purpose

Step = tuple[Operation, float, int]
"""An operation, its probability, and its magnitude as one of ten steps."""

SHEAR_Y, TRANSLATE_X, TRANSLATE_Y, ROTATE = (
    Operation.SHEAR_Y,
    Operation.TRANSLATE_X,
    Operation.TRANSLATE_Y,
    Operation.ROTATE,
)
BRIGHTNESS, COLOUR, CONTRAST, SHARPNESS = (
    Operation.BRIGHTNESS,
    Operation.COLOUR,
    Operation.CONTRAST,
    Operation.SHARPNESS,
)
POSTERISE, SOLARISE, AUTO_CONTRAST, EQUALISE, INVERT = (
    Operation.POSTERISE,
    Operation.SOLARISE,
    Operation.AUTO_CONTRAST,
    Operation.EQUALISE,
    Operation.INVERT,
)

SUB_POLICIES: Final[tuple[tuple[Step, Step], ...]] = (
    ((INVERT, 0.1, 0), (CONTRAST, 0.2, 6)),
    ((ROTATE, 0.7, 2), (TRANSLATE_X, 0.3, 9)),
    ((SHARPNESS, 0.8, 1), (SHARPNESS, 0.9, 3)),
    ((SHEAR_Y, 0.5, 8), (TRANSLATE_Y, 0.7, 9)),
    ((AUTO_CONTRAST, 0.5, 0), (EQUALISE, 0.9, 0)),
    ((SHEAR_Y, 0.2, 7), (POSTERISE, 0.3, 7)),
    ((COLOUR, 0.4, 3), (BRIGHTNESS, 0.6, 7)),
    ((SHARPNESS, 0.3, 9), (BRIGHTNESS, 0.7, 9)),
    ((EQUALISE, 0.6, 0), (EQUALISE, 0.5, 0)),
    ((CONTRAST, 0.6, 7), (SHARPNESS, 0.6, 5)),
    ((COLOUR, 0.7, 7), (TRANSLATE_X, 0.5, 8)),
    ((EQUALISE, 0.3, 0), (AUTO_CONTRAST, 0.4, 0)),
    ((TRANSLATE_Y, 0.4, 3), (SHARPNESS, 0.2, 6)),
    ((BRIGHTNESS, 0.9, 6), (COLOUR, 0.2, 8)),
    ((SOLARISE, 0.5, 2), (INVERT, 0.0, 0)),
    ((EQUALISE, 0.2, 0), (AUTO_CONTRAST, 0.6, 0)),
    ((EQUALISE, 0.2, 0), (EQUALISE, 0.6, 0)),
    ((COLOUR, 0.9, 9), (EQUALISE, 0.6, 0)),
    ((AUTO_CONTRAST, 0.8, 0), (SOLARISE, 0.2, 8)),
    ((BRIGHTNESS, 0.1, 3), (COLOUR, 0.7, 0)),
    ((SOLARISE, 0.4, 5), (AUTO_CONTRAST, 0.9, 0)),
    ((TRANSLATE_Y, 0.9, 9), (TRANSLATE_Y, 0.7, 9)),
    ((AUTO_CONTRAST, 0.9, 0), (SOLARISE, 0.8, 3)),
    ((EQUALISE, 0.8, 0), (INVERT, 0.1, 0)),
    ((TRANSLATE_Y, 0.7, 9), (AUTO_CONTRAST, 0.9, 0)),
)


def _ten(first: float, last: float) -> list[float]:
    return torch.linspace(first, last, 10).tolist()  # float32, for torchvision's very numbers


_MAGNITUDES: Final[Mapping[Operation, Sequence[float]]] = {
    SHEAR_Y: _ten(0, 0.3),
    TRANSLATE_X: _ten(0, 150 / 331),
    TRANSLATE_Y: _ten(0, 150 / 331),
    ROTATE: _ten(0, 30),
    BRIGHTNESS: _ten(0, 0.9),
    COLOUR: _ten(0, 0.9),
    CONTRAST: _ten(0, 0.9),
    SHARPNESS: _ten(0, 0.9),
    POSTERISE: (8, 8, 7, 7, 6, 6, 5, 5, 4, 4),
    SOLARISE: _ten(255, 0),
}
"""What the ten steps mean, in the units of `Operation`; the others have no magnitude."""


class AutoAugment(Policy):
    """Each image undergoes one of 25 pairs of operations, each operation with a probability."""

    @property
    def purpose(self) -> Purpose:
        """The stream that it draws from."""
        return Purpose.AUTO_AUGMENT

    @property
    def possible(self) -> tuple[Operations, ...]:
        """The operations that stand first, and those that stand second."""
        return tuple(
            frozenset(operation for operation, *_ in steps)
            for steps in zip(*SUB_POLICIES, strict=True)
        )

    def draw(self, images: int, generator: np.random.Generator) -> DrawnOperations:
        """Choose for N = `images` images."""
        chosen_n1 = generator.integers(len(SUB_POLICIES), size=(images, 1))
        happens_n2 = generator.random((images, 2)) < _PROBABILITY_P2[chosen_n1, _PLACES]
        sign_n2 = generator.integers(2, size=(images, 2))
        operation_n2 = np.where(happens_n2, _OPERATION_P2[chosen_n1, _PLACES], _IDENTITY)
        return DrawnOperations(operation_n2, _MAGNITUDE_P22[chosen_n1, _PLACES, sign_n2])


def magnitude(operation: Operation, step: int, sign: int) -> float:
    """What a step of 0..9 means; `sign` is for what can go either way."""
    if operation not in _MAGNITUDES:
        return 0.0
    return _MAGNITUDES[operation][step] * (sign if operation in GEOMETRIC | BLENDS else 1)


_IDENTITY = np.int32(Operation.IDENTITY)
_PLACES = np.arange(2)
_OPERATION_P2 = np.array([[operation for operation, *_ in pair] for pair in SUB_POLICIES], np.int32)
_PROBABILITY_P2 = np.array([[chance for _, chance, _ in pair] for pair in SUB_POLICIES])
_MAGNITUDE_P22 = np.array(
    [
        [[magnitude(operation, step, sign) for sign in (-1, 1)] for operation, _, step in pair]
        for pair in SUB_POLICIES
    ],
    np.float32,
)
