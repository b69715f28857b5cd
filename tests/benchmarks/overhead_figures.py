"""What one run of one contestant of the overhead benchmark amounts to."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figures:
    """`first_seconds` until the first trial ended, `seconds_per_trial` of all the later ones.

    `report_milliseconds` is the median from one report of a trial to its next.
    """

    trials: int
    first_seconds: float
    seconds_per_trial: float
    report_milliseconds: float


@dataclass(slots=True)
class Stopwatch:
    """Takes the time at which each trial ends; starts when it is made."""

    started: float = field(default_factory=time.perf_counter)
    ends: list[float] = field(default_factory=list)

    def trial_ended(self) -> None:
        """One more trial is over."""
        self.ends.append(time.perf_counter())

    def figures(self, report_seconds: Sequence[float]) -> Figures:
        """The figures of a run that has ended now, with all that it had to write."""
        seconds = time.perf_counter() - self.ends[0]
        return Figures(
            trials=len(self.ends),
            first_seconds=self.ends[0] - self.started,
            seconds_per_trial=seconds / (len(self.ends) - 1),
            report_milliseconds=1000 * statistics.median(report_seconds),
        )
