"""The test distributions that differ from that of the training, and what metrics call them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

TailDirection = Literal["forward", "backward"]

KNOWN_PRIOR: Final = "_known_prior"
"""Behind the name of a distribution whose class frequencies the model was told."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A test distribution with a long tail: forward as in training, or backward."""

    direction: TailDirection
    ratio: int

    @property
    def name(self) -> str:
        """How metrics and tables call it: `forward_10`."""
        return f"{self.direction}_{self.ratio}"


SHIFTS: Final = tuple(
    Shift(direction, ratio) for direction in ("forward", "backward") for ratio in (2, 5, 10, 25, 50)
)
