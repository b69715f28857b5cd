"""Random changes of brightness, contrast and saturation: torchvision's ColorJitter without hue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from balpoe.config.augmentation import POLICIES, DrawnOperations, Operations, Policy
from balpoe.config.bounds import Fraction
from balpoe.training.augmentation.operations import Operation

if TYPE_CHECKING:
    import numpy as np

JITTERED: Final = (Operation.BRIGHTNESS, Operation.CONTRAST, Operation.COLOUR)


@POLICIES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class ColourJitter(Policy):
    """Brightness, contrast and saturation in a random order.

    Their factors are uniform in [1 − strength, 1 + strength].
    """

    name: Literal["colour_jitter"] = "colour_jitter"
    strength: Fraction = 0.4

    @property
    def possible(self) -> tuple[Operations, ...]:
        """Each operation at every place, because the order is drawn too."""
        return (frozenset(JITTERED),) * len(JITTERED)

    def draw(self, images: int, generator: np.random.Generator) -> DrawnOperations:
        """Choose the order and the factors of N = `images` images."""
        import numpy as np

        operation_n3 = generator.permuted(
            np.tile(np.array(JITTERED, np.int32), (images, 1)), axis=1
        )
        excess_n3 = generator.uniform(-self.strength, self.strength, operation_n3.shape)
        return DrawnOperations(operation_n3, excess_n3.astype(np.float32))
