"""AutoAugment with the policy found on CIFAR-10 (Cubuk et al., CVPR 2019, Table 7).

N images, P sub-policies of two steps.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from balpoe.config.augmentation import POLICIES, DrawnOperations, Operations, Policy
from balpoe.training.augmentation.operations import BLENDS, GEOMETRIC
from balpoe.training.augmentation.operations import Operation as Op

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Step = tuple[Op, float, int]
"""An operation, its probability, and its magnitude as one of ten steps."""

SUB_POLICIES: Final[tuple[tuple[Step, Step], ...]] = (
    ((Op.INVERT, 0.1, 0), (Op.CONTRAST, 0.2, 6)),
    ((Op.ROTATE, 0.7, 2), (Op.TRANSLATE_X, 0.3, 9)),
    ((Op.SHARPNESS, 0.8, 1), (Op.SHARPNESS, 0.9, 3)),
    ((Op.SHEAR_Y, 0.5, 8), (Op.TRANSLATE_Y, 0.7, 9)),
    ((Op.AUTO_CONTRAST, 0.5, 0), (Op.EQUALISE, 0.9, 0)),
    ((Op.SHEAR_Y, 0.2, 7), (Op.POSTERISE, 0.3, 7)),
    ((Op.COLOUR, 0.4, 3), (Op.BRIGHTNESS, 0.6, 7)),
    ((Op.SHARPNESS, 0.3, 9), (Op.BRIGHTNESS, 0.7, 9)),
    ((Op.EQUALISE, 0.6, 0), (Op.EQUALISE, 0.5, 0)),
    ((Op.CONTRAST, 0.6, 7), (Op.SHARPNESS, 0.6, 5)),
    ((Op.COLOUR, 0.7, 7), (Op.TRANSLATE_X, 0.5, 8)),
    ((Op.EQUALISE, 0.3, 0), (Op.AUTO_CONTRAST, 0.4, 0)),
    ((Op.TRANSLATE_Y, 0.4, 3), (Op.SHARPNESS, 0.2, 6)),
    ((Op.BRIGHTNESS, 0.9, 6), (Op.COLOUR, 0.2, 8)),
    ((Op.SOLARISE, 0.5, 2), (Op.INVERT, 0.0, 0)),
    ((Op.EQUALISE, 0.2, 0), (Op.AUTO_CONTRAST, 0.6, 0)),
    ((Op.EQUALISE, 0.2, 0), (Op.EQUALISE, 0.6, 0)),
    ((Op.COLOUR, 0.9, 9), (Op.EQUALISE, 0.6, 0)),
    ((Op.AUTO_CONTRAST, 0.8, 0), (Op.SOLARISE, 0.2, 8)),
    ((Op.BRIGHTNESS, 0.1, 3), (Op.COLOUR, 0.7, 0)),
    ((Op.SOLARISE, 0.4, 5), (Op.AUTO_CONTRAST, 0.9, 0)),
    ((Op.TRANSLATE_Y, 0.9, 9), (Op.TRANSLATE_Y, 0.7, 9)),
    ((Op.AUTO_CONTRAST, 0.9, 0), (Op.SOLARISE, 0.8, 3)),
    ((Op.EQUALISE, 0.8, 0), (Op.INVERT, 0.1, 0)),
    ((Op.TRANSLATE_Y, 0.7, 9), (Op.AUTO_CONTRAST, 0.9, 0)),
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
        identity = np.int32(Op.IDENTITY)
        operation_n2 = np.where(happens_n2, operation_p2[chosen_n1, places], identity)
        return DrawnOperations(operation_n2, magnitude_p22[chosen_n1, places, sign_n2])


def magnitude(operation: Op, step: int, sign: int) -> float:
    """Return the magnitude at a step of 0..9; `sign` is that of operations that have two."""
    if operation not in _magnitudes():
        return 0.0
    return _magnitudes()[operation][step] * (sign if operation in GEOMETRIC | BLENDS else 1)


@functools.cache
def _magnitudes() -> Mapping[Op, Sequence[float]]:
    """Return the ten magnitudes of each operation, in the units of `Op`."""
    import torch

    def ten(first: float, last: float) -> list[float]:
        return torch.linspace(first, last, 10).tolist()  # float32, as in torchvision

    return {
        Op.SHEAR_Y: ten(0, 0.3),
        Op.TRANSLATE_X: ten(0, 150 / 331),
        Op.TRANSLATE_Y: ten(0, 150 / 331),
        Op.ROTATE: ten(0, 30),
        Op.BRIGHTNESS: ten(0, 0.9),
        Op.COLOUR: ten(0, 0.9),
        Op.CONTRAST: ten(0, 0.9),
        Op.SHARPNESS: ten(0, 0.9),
        Op.POSTERISE: (8, 8, 7, 7, 6, 6, 5, 5, 4, 4),
        Op.SOLARISE: ten(255, 0),
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
