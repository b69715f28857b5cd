"""Tune's manager of actors, with devices that are simulated: no workers, and a clock of its own.

Tune's controller asks it for actors and their steps as it asks the real one, and is told of each
by the same callbacks; the next event is the one that is earliest on the simulated clock.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from ray.air.execution._internal import TrackedActor

from balpoe.study.execution.trial_actor import COMPLETE, EPOCH, PARAMETERS
from tests.benchmarks.idle_trial import OBJECTIVES
from tests.benchmarks.recorded_curves import nearest

RESETTING_SECONDS, NOISE = 0.1, 0.005


@dataclass(order=True)
class Moment:
    """When something that an actor was asked for is done; seconds of the simulated clock."""

    at: float
    order: int
    tell: Callable[[], None] = field(compare=False)


@dataclass
class Device:
    """A device with an actor and its trial, whose `curve` is a recorded one plus `noise`."""

    curve: Sequence[Sequence[float]]
    noise: Sequence[float]
    epoch_seconds: float
    epoch: int = 0

    def report(self) -> dict[str, Any]:
        """The next report of the trial: an epoch, or the end after the last."""
        self.epoch += 1
        ends = self.epoch > len(self.curve)
        told = {"done": True, COMPLETE: True} if ends else {EPOCH: self.epoch}
        return {**self.metrics(), **told, "training_iteration": self.epoch, "time_total_s": 0.0}

    def metrics(self) -> dict[str, float]:
        """What the trial has reached."""
        reached = self.curve[min(self.epoch, len(self.curve)) - 1]
        moved = (value + moved for value, moved in zip(reached, self.noise, strict=True))
        return dict(zip(OBJECTIVES, moved, strict=True))


class SimulatedActors:
    """In the place of Ray's manager of actors; `devices` of them run at once."""

    devices = 256

    def __init__(self, resource_manager: object) -> None:
        self._generator = np.random.default_rng(0)
        self._now, self._order, self._ids = 0.0, itertools.count(), itertools.count()
        self._moments: list[Moment] = []
        self._pending: deque[TrackedActor] = deque()
        self._at_work: dict[TrackedActor, Device] = {}
        self._live_actors_to_ray_actors_resources: dict[TrackedActor, tuple[Any, ...]] = {}

    @property
    def num_live_actors(self) -> int:
        """Of all that were started, those that were not removed."""
        return len(self._live_actors_to_ray_actors_resources)

    @property
    def num_pending_actors(self) -> int:
        """Those that wait for a device."""
        return len(self._pending)

    @property
    def num_total_actors(self) -> int:
        """Both."""
        return self.num_live_actors + self.num_pending_actors

    @property
    def num_actor_tasks(self) -> int:
        """Epochs and changes of trials that are under way."""
        return len(self._moments)

    def add_actor(
        self,
        cls: object,
        kwargs: Mapping[str, Any],
        resource_request: object,
        *,
        on_start: Callable[[TrackedActor], None],
        on_stop: Callable[[TrackedActor], None],
        on_error: Callable[[TrackedActor, Exception], None],
    ) -> TrackedActor:
        """Start one as soon as there is a device."""
        actor = TrackedActor(next(self._ids), on_start, on_stop, on_error)
        self._at_work[actor] = self.begun(kwargs["config"])
        self._pending.append(actor)
        return actor

    def schedule_actor_task(
        self,
        tracked_actor: TrackedActor,
        method_name: str,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        on_result: Callable[[TrackedActor, Any], None] | None = None,
        on_error: Callable[[TrackedActor, Exception], None] | None = None,
        _return_future: bool = False,
    ) -> None:
        """Have an actor train an epoch, or take another trial."""
        if method_name == "reset":
            self._at_work[tracked_actor] = self.begun(args[0])
            answer, seconds = True, RESETTING_SECONDS
        elif method_name == "train":
            answer = self._at_work[tracked_actor].report()  # type: ignore[assignment]
            seconds = self._at_work[tracked_actor].epoch_seconds
        else:
            return
        assert on_result is not None
        self._later(seconds, lambda: on_result(tracked_actor, answer))

    def next(self, timeout: float | None = None) -> bool:
        """Tell the controller of the next event, if there is any."""
        if self._pending and self.num_live_actors < self.devices:
            actor = self._pending.popleft()
            self._live_actors_to_ray_actors_resources[actor] = (_RayActor(),)
            assert actor._on_start is not None
            actor._on_start(actor)
            return True
        if not self._moments:
            return False
        moment = heapq.heappop(self._moments)
        self._now = moment.at
        moment.tell()
        return True

    def remove_actor(
        self, tracked_actor: TrackedActor, kill: bool = False, stop_future: object = None
    ) -> bool:
        """Free its device, if it has one."""
        del self._at_work[tracked_actor]
        if not self._live_actors_to_ray_actors_resources.pop(tracked_actor, ()):
            self._pending.remove(tracked_actor)
        if tracked_actor._on_stop:
            tracked_actor._on_stop(tracked_actor)
        return True

    def is_actor_started(self, tracked_actor: TrackedActor) -> bool:
        """Whether it has a device."""
        return tracked_actor in self._live_actors_to_ray_actors_resources

    def is_actor_failed(self, tracked_actor: TrackedActor) -> bool:
        """Never."""
        return False

    def clear_actor_task_futures(self, tracked_actor: TrackedActor) -> None:
        """There are none: a trial is told to end when its epoch is over."""

    def get_live_actors_resources(self) -> dict[str, float]:
        """What the status line shows."""
        return {"CPU": float(self.num_live_actors)}

    def cleanup(self) -> None:
        """Nothing is left over."""

    def _later(self, seconds: float, tell: Callable[[], None]) -> None:
        heapq.heappush(self._moments, Moment(self._now + seconds, next(self._order), tell))

    def begun(self, configuration: Mapping[str, Any]) -> Device:
        """A device with a trial."""
        curve = nearest(configuration[PARAMETERS]).curve
        noise = self._generator.normal(0.0, NOISE, size=len(OBJECTIVES))
        return Device(curve, noise.tolist(), float(self._generator.lognormal(0.0, 0.3)))


class _RayActor:
    """As much of a handle as Tune takes a look at."""

    get_auto_filled_metrics = SimpleNamespace(remote=lambda **_options: {})
