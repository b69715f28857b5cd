"""The shifted test distributions and their names in metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

TailDirection = Literal["forward", "backward"]

WHOLE_TEST: Final = "test"
"""The distribution of all test images."""

PriorKnowledge = Literal["unknown", "known", "estimated"]
"""What a model knows of the class frequencies of a distribution."""

KNOWN_PRIOR: Final = "_known_prior"
"""The suffix of a distribution if the model knows its class frequencies."""

ESTIMATED_PRIOR: Final = "_estimated_prior"
"""The suffix of a distribution if its class frequencies are estimated from unlabelled images."""

PRIOR_SUFFIXES: Final[Mapping[PriorKnowledge, str]] = {
    "unknown": "",
    "known": KNOWN_PRIOR,
    "estimated": ESTIMATED_PRIOR,
}


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


def metric_prefix(distribution: str, prior: PriorKnowledge) -> str:
    """Return the prefix of metrics: `test`, `test_forward_10`, `test_forward_10_known_prior`."""
    shift = "" if distribution == WHOLE_TEST else f"_{distribution}"
    return f"{WHOLE_TEST}{shift}{PRIOR_SUFFIXES[prior]}"
