"""The table of mixers: how pairs of training images are mixed, and their labels with them.

S steps, B batch, D channels, H height, W width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from balpoe.config.entry_tables import Entry, Table

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixer(Entry, ABC):
    """The settings of a mixer except its strength, which is `mixup.alpha`; abstract."""

    name: str

    @abstractmethod
    def draw(
        self, alpha: float, steps: int, batch_size: int, generator: np.random.Generator
    ) -> Tensor:
        """Draw all random numbers of an epoch, on the CPU, with S = `steps` as first dimension.

        With `alpha` = 0 nothing is mixed, and the result is not used.

        The batch of the last step may have fewer than `batch_size` images.
        """

    @abstractmethod
    def mix(
        self, images_bdhw: Tensor, partner_images_bdhw: Tensor, drawn: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mix a batch with its partners, on their device.

        `drawn` is the row of `draw` for this step. No value may be read on the host and no shape
        may depend on a value, so that a CUDA graph can capture the step.

        Returns:
            The mixed images in the shape and memory format of `images_bdhw`, and the share ξ of
            the first labels: one number for the batch ([]), or one per image ([B]).
        """


MIXERS = Table(
    Mixer,  # type: ignore[type-abstract]
    package="balpoe.method.mixers",
    group="balpoe.mixers",
)
