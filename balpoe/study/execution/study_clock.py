"""The clock of a study: all times are those of the driver's host.

The clocks of hosts may differ by hours, and jump when they are set. So a worker requests the time
of the driver's host once for each trial, and adds the time elapsed on its own monotonic clock
(Cristian, Probabilistic clock synchronization, Distributed Computing 3, 1989).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Protocol, cast

import ray
from ray import ObjectRef
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

Clock = Callable[[], float]
"""Returns the time in Unix seconds."""

REQUESTS, TIMEOUT_SECONDS = 3, 30.0


class _TimeMethod(Protocol):
    def remote(self) -> ObjectRef[float]: ...


class Timekeeper(Protocol):
    """The handle of an actor that returns the time of its host."""

    @property
    def time(self) -> _TimeMethod:
        """The time of the actor's host in Unix seconds."""


class _HostClock:
    def time(self) -> float:
        return time.time()


@dataclass(frozen=True, slots=True)
class SteadyClock:
    """A clock that never jumps; `unix_time` is its time at `monotonic` on the monotonic clock."""

    unix_time: float
    monotonic: float

    def __call__(self) -> float:
        """Return the time in Unix seconds."""
        return self.unix_time + time.monotonic() - self.monotonic


def start_timekeeper() -> Timekeeper:
    """Start a timekeeper on the node of this process; it ends with its handle."""
    node = ray.get_runtime_context().get_node_id()
    where = NodeAffinitySchedulingStrategy(node, soft=False)
    actor = ray.remote(_HostClock).options(num_cpus=0, max_restarts=-1, scheduling_strategy=where)
    return cast("Timekeeper", actor.remote())


def clock_of(timekeeper: Timekeeper) -> Clock:
    """Return the clock of the timekeeper's host, or of this host if the timekeeper is unreachable.

    Of several answers, the fastest is the most exact.
    """
    try:
        answers = [_answer(timekeeper) for _ in range(REQUESTS)]
    except RayError:
        return time.time
    return min(answers, key=itemgetter(0))[1]


def _answer(timekeeper: Timekeeper) -> tuple[float, SteadyClock]:
    """Return the round-trip time and the clock, whose time is that half way through."""
    asked = time.monotonic()
    unix_time = ray.get(timekeeper.time.remote(), timeout=TIMEOUT_SECONDS)
    answered = time.monotonic()
    return answered - asked, SteadyClock(unix_time, (asked + answered) / 2)
