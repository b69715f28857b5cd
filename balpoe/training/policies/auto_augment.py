"""AutoAugment with the policy found on CIFAR-10 (Cubuk et al., CVPR 2019, Table 7).

N images, P sub-policies of two steps.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from balpoe.config.augmentation import POLICIES, DrawnOperations, Operations, Policy
from balpoe.training.augmentation.operations import BLENDS, GEOMETRIC, Operation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

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


@POLICIES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class AutoAugment(Policy):
    """Each image undergoes one of 25 pairs of operations, each operation with a probability."""

    name: Literal["auto_augment"] = "auto_augment"

    @property
    def possible(self) -> tuple[Operations, ...]:
        """The operations that are first in a pair, and those that are second."""
        return tuple(
            frozenset(operation for operation, *_ in steps)
            for steps in zip(*SUB_POLICIES, strict=True)
        )

    def draw(self, images: int, generator: np.random.Generator) -> DrawnOperations:
        """Choose the pairs of N = `images` images."""
        import numpy as np

        operation_p2, probability_p2, magnitude_p22 = _sub_policies()
        places = np.arange(2)
        chosen_n1 = generator.integers(len(SUB_POLICIES), size=(images, 1))
        happens_n2 = generator.random((images, 2)) < probability_p2[chosen_n1, places]
        sign_n2 = generator.integers(2, size=(images, 2))
        identity = np.int32(Operation.IDENTITY)
        operation_n2 = np.where(happens_n2, operation_p2[chosen_n1, places], identity)
        return DrawnOperations(operation_n2, magnitude_p22[chosen_n1, places, sign_n2])


def magnitude(operation: Operation, step: int, sign: int) -> float:
    """Return the magnitude at a step of 0..9; `sign` is that of operations that have two."""
    if operation not in _magnitudes():
        return 0.0
    return _magnitudes()[operation][step] * (sign if operation in GEOMETRIC | BLENDS else 1)


@functools.cache
def _magnitudes() -> Mapping[Operation, Sequence[float]]:
    """Return the ten magnitudes of each operation, in the units of `Operation`."""
    import torch

    def ten(first: float, last: float) -> list[float]:
        return torch.linspace(first, last, 10).tolist()  # float32, as in torchvision

    return {
        SHEAR_Y: ten(0, 0.3),
        TRANSLATE_X: ten(0, 150 / 331),
        TRANSLATE_Y: ten(0, 150 / 331),
        ROTATE: ten(0, 30),
        BRIGHTNESS: ten(0, 0.9),
        COLOUR: ten(0, 0.9),
        CONTRAST: ten(0, 0.9),
        SHARPNESS: ten(0, 0.9),
        POSTERISE: (8, 8, 7, 7, 6, 6, 5, 5, 4, 4),
        SOLARISE: ten(255, 0),
    }


@functools.cache
def _sub_policies() -> tuple[
    npt.NDArray[np.int32], npt.NDArray[np.float64], npt.NDArray[np.float32]
]:
    """Return operations [P, 2], probabilities [P, 2], and magnitudes [P, 2, 2] for both signs."""
    import numpy as np

    magnitudes = [
        [[magnitude(operation, step, sign) for sign in (-1, 1)] for operation, _, step in pair]
        for pair in SUB_POLICIES
    ]
    return (
        np.array([[operation for operation, *_ in pair] for pair in SUB_POLICIES], np.int32),
        np.array([[chance for _, chance, _ in pair] for pair in SUB_POLICIES]),
        np.array(magnitudes, np.float32),
    )
