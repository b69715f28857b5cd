"""One clock for all times of a study: that of its driver's host.

The clocks of hosts may be hours apart, and jump where somebody sets them. So a worker asks on the
driver's host what time it is, once for each trial, and counts on from there by its monotonic
clock (Cristian, Probabilistic clock synchronization, Distributed Computing 3, 1989).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import ray
from ray import ObjectRef
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

Clock = Callable[[], float]
"""What time it is; Unix seconds."""

QUESTIONS, PATIENCE_SECONDS = 3, 30.0


class _Question(Protocol):
    def remote(self) -> ObjectRef[float]: ...


class Timekeeper(Protocol):
    """The handle of an actor that tells the time of its host."""

    @property
    def time(self) -> _Question:
        """What time it is there; Unix seconds."""


class _HostClock:
    """The actor."""

    def time(self) -> float:
        return time.time()


@dataclass(frozen=True, slots=True)
class SteadyClock:
    """It stood at `unix_time` when the monotonic clock stood at `monotonic`; it never jumps."""

    unix_time: float
    monotonic: float

    def __call__(self) -> float:
        """Unix seconds."""
        return self.unix_time + time.monotonic() - self.monotonic


def timekeeper_beside_driver() -> Timekeeper:
    """One on the node of this process, for as long as the process keeps it; it takes no CPU."""
    node = ray.get_runtime_context().get_node_id()
    where = NodeAffinitySchedulingStrategy(node, soft=False)
    actor = ray.remote(_HostClock).options(num_cpus=0, max_restarts=-1, scheduling_strategy=where)
    return cast("Timekeeper", actor.remote())


def clock_of(timekeeper: Timekeeper) -> Clock:
    """The clock of the host of `timekeeper`; of several answers the quickest is the most exact.

    Where there is no answer, it is the clock of this host.
    """
    try:
        answers = [_answer(timekeeper) for _ in range(QUESTIONS)]
    except RayError:
        return time.time
    return min(answers, key=lambda answer: answer.seconds).clock


@dataclass(frozen=True, slots=True)
class _Answer:
    """A clock by the time that was told, and how long that took."""

    clock: SteadyClock
    seconds: float


def _answer(timekeeper: Timekeeper) -> _Answer:
    """It was true half way between question and answer."""
    asked = time.monotonic()
    told = ray.get(timekeeper.time.remote(), timeout=PATIENCE_SECONDS)
    answered = time.monotonic()
    return _Answer(SteadyClock(told, (asked + answered) / 2), answered - asked)
