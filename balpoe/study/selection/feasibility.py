"""Which trials may be chosen at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from balpoe.study.trials.record import TrialState


class Judged(Protocol):
    """A trial with a state, and with objectives once it is COMPLETE."""

    @property
    def state(self) -> TrialState:
        """How it stands."""

    @property
    def objectives(self) -> Mapping[str, float] | None:
        """The values of its objectives."""

    @property
    def violations(self) -> Mapping[str, float]:
        """The constraints that it breaks."""


def is_feasible(record: Judged) -> bool:
    """Whether a record is COMPLETE and breaks no constraint."""
    return record.state == "COMPLETE" and not record.violations
