"""The shifted test distributions and their names in metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

TailDirection = Literal["forward", "backward"]

WHOLE_TEST: Final = "test"
"""The distribution of all test images."""

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


def metric_prefix(distribution: str, *, known_prior: bool) -> str:
    """Return the prefix of metrics: `test`, `test_forward_10`, `test_forward_10_known_prior`."""
    shift = "" if distribution == WHOLE_TEST else f"_{distribution}"
    return f"{WHOLE_TEST}{shift}{KNOWN_PRIOR if known_prior else ''}"
