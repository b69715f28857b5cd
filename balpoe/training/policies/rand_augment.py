"""RandAugment (Cubuk et al., 2020) with the operations and magnitudes of the released code.

The released code uses timm's variant: fifteen operations, whose magnitudes of 0..10 vary around a
given one, and each happens with a probability. Here, operations that move pixels take the nearest
one and fill with black; there, the interpolation is drawn too and the fill is the mean colour.

N images, L operations in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from balpoe.config.augmentation import POLICIES, DrawnOperations, Few, Level, Operations, Policy
from balpoe.config.bounds import Fraction, NonNegative
from balpoe.training.augmentation.operations import GEOMETRIC, Operation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Levels: TypeAlias = npt.NDArray[np.float64]


def _up_to(most: float) -> Callable[[Levels], Levels]:
    return lambda level: level / 10 * most


def _whole_up_to(most: float) -> Callable[[Levels], Levels]:
    return lambda level: level / 10 * most // 1


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
"""The magnitude at a level of 0..10 of each operation; geometric ones have a random sign too."""


@POLICIES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class RandAugment(Policy):
    """Each image is given `operations` random operations, independent of one another.

    Each of them happens with `probability`, with a magnitude of 0..10 that is drawn normally
    around `magnitude`.
    """

    name: Literal["rand_augment"] = "rand_augment"
    operations: Few = 2
    magnitude: Level = 10.0
    magnitude_sd: NonNegative = 0.5
    probability: Fraction = 0.5

    @property
    def possible(self) -> tuple[Operations, ...]:
        """All operations at every place."""
        return (frozenset(MAGNITUDES),) * self.operations

    def draw(self, images: int, generator: np.random.Generator) -> DrawnOperations:
        """Choose the operations of N = `images` images."""
        import numpy as np

        shape = (images, self.operations)
        chosen_nl = np.array(list(MAGNITUDES), np.int32)[
            generator.integers(len(MAGNITUDES), size=shape)
        ]
        happens_nl = generator.random(shape) < self.probability
        level_nl = generator.normal(self.magnitude, self.magnitude_sd, shape).clip(0, 10)
        sign_nl = generator.choice((-1, 1), shape)
        magnitude_nl = np.zeros(shape)
        for operation, of_level in MAGNITUDES.items():
            sign = sign_nl if operation in GEOMETRIC else 1
            magnitude_nl = np.where(chosen_nl == operation, sign * of_level(level_nl), magnitude_nl)
        operation_nl = np.where(happens_nl, chosen_nl, Operation.IDENTITY)
        return DrawnOperations(operation_nl.astype(np.int32), magnitude_nl.astype(np.float32))
