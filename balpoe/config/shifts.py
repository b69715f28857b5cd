"""The shifted test distributions and their names in metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

TailDirection = Literal["forward", "backward"]

KNOWN_PRIOR: Final = "_known_prior"
"""The suffix of a distribution if the model knows its class frequencies."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A long-tailed test distribution; a forward tail has the order of the training set."""

    direction: TailDirection
    ratio: int

    @property
    def name(self) -> str:
        """The name in metrics and tables: `forward_10`."""
        return f"{self.direction}_{self.ratio}"


SHIFTS: Final = tuple(
    Shift(direction, ratio) for direction in ("forward", "backward") for ratio in (2, 5, 10, 25, 50)
)
