"""What one run of one contestant of the overhead benchmark amounts to."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.benchmarks.idle_trial import CONCURRENT_TRIALS


@dataclass(frozen=True, slots=True)
class Figures:
    """`start_seconds` until the first trials ended, `seconds_per_trial` of all the later ones.

    The first are those that began together. `cpu_seconds_per_trial` is what the driver's
    process worked for those later ones, also when the machine had other things to do.
    `report_milliseconds` is the median from one report of a trial to its next.
    """

    trials: int
    start_seconds: float
    seconds_per_trial: float
    cpu_seconds_per_trial: float
    report_milliseconds: float


@dataclass(slots=True)
class Stopwatch:
    """Takes the time at which each trial ends; starts when it is made."""

    started: float = field(default_factory=time.perf_counter)
    ends: list[float] = field(default_factory=list)
    cpu_ends: list[float] = field(default_factory=list)

    def trial_ended(self) -> None:
        """One more trial is over."""
        self.ends.append(time.perf_counter())
        self.cpu_ends.append(time.process_time())

    def figures(self, report_seconds: Sequence[float]) -> Figures:
        """The figures of a run that has ended now, with all that it had to write."""
        now, cpu_now = time.perf_counter(), time.process_time()
        first = self.ends[CONCURRENT_TRIALS - 1]
        later = len(self.ends) - CONCURRENT_TRIALS
        return Figures(
            trials=len(self.ends),
            start_seconds=first - self.started,
            seconds_per_trial=(now - first) / later,
            cpu_seconds_per_trial=(cpu_now - self.cpu_ends[CONCURRENT_TRIALS - 1]) / later,
            report_milliseconds=1000 * statistics.median(report_seconds),
        )
