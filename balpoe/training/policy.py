"""Augmentation policies: which operations each image undergoes, one after the other.

What happens to an image is drawn up front; applying it looks at no values, and passes over the
forms of operations that a policy never draws at that place.

N images, B batch, L operations in a row, H height, W width, D channels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from balpoe.training.colour_operations import blend, look_up
from balpoe.training.geometric_operations import move
from balpoe.training.operations import BLENDS, GEOMETRIC, TABLES, Operations
from balpoe.training.streams import Purpose

_FORMS = ((GEOMETRIC, move), (BLENDS, blend), (TABLES, look_up))


@dataclass(frozen=True, eq=False, slots=True)
class DrawnOperations:
    """For each of N images L operations in a row, and their magnitudes."""

    operation_nl: npt.NDArray[np.int32]
    magnitude_nl: npt.NDArray[np.float32]


class Policy(ABC):
    """How the operations of each image are chosen."""

    @property
    @abstractmethod
    def purpose(self) -> Purpose:
        """The stream that it draws from."""

    @property
    @abstractmethod
    def possible(self) -> tuple[Operations, ...]:
        """Which operations it may choose at each of the L places."""

    @abstractmethod
    def draw(self, images: int, generator: np.random.Generator) -> DrawnOperations:
        """Choose for N = `images` images."""


def draw_operations(
    policies: Sequence[Policy], images: int, streams: Mapping[Purpose, np.random.Generator]
) -> DrawnOperations:
    """What all policies choose, in their order; L = 0 where there are none."""
    drawn = [policy.draw(images, streams[policy.purpose]) for policy in policies]
    none = DrawnOperations(np.empty((images, 0), np.int32), np.empty((images, 0), np.float32))
    return DrawnOperations(
        np.concatenate([each.operation_nl for each in (none, *drawn)], axis=1),
        np.concatenate([each.magnitude_nl for each in (none, *drawn)], axis=1),
    )


def apply_operations(
    pixels_bhwd: Tensor, operation_bl: Tensor, magnitude_bl: Tensor, policies: Sequence[Policy]
) -> Tensor:
    """The images after their operations: uint8 [B, H, W, D]."""
    for place, possible in enumerate(_possible(policies)):
        for operations, form in _FORMS:
            if operations & possible:
                pixels_bhwd = form(pixels_bhwd, operation_bl[:, place], magnitude_bl[:, place])
    return pixels_bhwd


def _possible(policies: Sequence[Policy]) -> Iterator[Operations]:
    for policy in policies:
        yield from policy.possible
