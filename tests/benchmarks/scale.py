"""What the driver of a study costs with 256 devices and up to 10,000 trials.

    uv run python -m tests.benchmarks.scale --sampler random --trials 10000
    uv run python -m tests.benchmarks.scale --sampler tpe --stored 5000 --trials 512

The launch is a real one: Tune's controller, our searcher, scheduler and ledger, Optuna and its
storage in SQLite, and a second reader of the ledger for every trial that begins or ends, as the
mirror has one. Only the workers are simulated, with their devices and the time that epochs take:
a trial repeats the curve of the nearest one that was recorded, plus some noise. Every so many
trials it prints the CPU milliseconds of the driver for each, by what took them, and its memory.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from ray.tune.execution import tune_controller

from balpoe.config import SAMPLERS, BudgetConfig, HalvingConfig, ResourcesConfig, StudySpec
from balpoe.study.execution.executor import run_trials
from balpoe.study.execution.searcher import StudySearcher
from balpoe.study.execution.trial_actor import PARAMETERS
from balpoe.study.records.ledger import Ledger
from balpoe.study.storage.storage_interface import unconfirmed
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import StateChange, StudyEvent, TrialEnded
from tests.benchmarks.idle_study import idle_spec
from tests.benchmarks.overhead import setting
from tests.benchmarks.simulated_actors import SimulatedActors

P = ParamSpec("P")
Answer = TypeVar("Answer")
Self = TypeVar("Self")

METHODS = {"ask": "suggest", "report": "on_trial_result", "tell": "on_trial_complete"}


@dataclass
class Meter:
    """Follows a launch: CPU seconds of the driver for each trial that ended, by what took them."""

    reader: Ledger
    every: int
    seconds: dict[str, float] = field(default_factory=dict)
    ended: int = 0
    begun_at: float = field(default_factory=time.process_time)

    def follow(self, event: StudyEvent) -> None:
        """Read the record of a trial that begins or ends; print the figures now and then."""
        if not isinstance(event, StateChange):
            return
        self.timed("read", lambda: self.reader.record(event.identity))
        self.ended += isinstance(event, TrialEnded)
        if isinstance(event, TrialEnded) and self.ended % self.every == 0:
            self.tell()

    def timed(self, name: str, act: Callable[[], Answer]) -> Answer:
        """What `act` returns; its CPU seconds are counted under `name`."""
        began = time.process_time()
        try:
            return act()
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - began

    def method(
        self, name: str, method: Callable[Concatenate[Self, P], Answer]
    ) -> Callable[Concatenate[Self, P], Answer]:
        """`method`, its CPU seconds counted under `name`."""

        @functools.wraps(method)
        def measured(self_: Self, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
            return self.timed(name, lambda: method(self_, *args, **kwargs))

        return measured

    def tell(self) -> None:
        """The milliseconds for each trial since the last time; the rest of `all` is Tune's."""
        now = time.process_time()
        spent = {"all": now - self.begun_at, **self.seconds}
        each = {f"{name}_ms": round(1000 * s / self.every, 1) for name, s in spent.items()}
        mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10
        print(json.dumps({"trials": self.ended, **each, "peak_rss_mib": mib}), flush=True)
        self.seconds.clear()
        self.begun_at = now


def store_trials(spec: StudySpec, directory: StudyDirectory, trials: int) -> None:
    """Fill the ledger up with trials of random parameters, as earlier launches left them."""
    random = dataclasses.replace(spec, sampler=SAMPLERS["random"]())
    ledger = Ledger(random, directory, unconfirmed)
    ledger.begin_launch()
    actors = SimulatedActors(None)
    for _ in range(trials):
        proposal = ledger.ask()
        device = actors.begun({PARAMETERS: proposal.parameters})
        device.epoch = len(device.curve)
        metrics = device.metrics()
        ledger.complete(proposal.identity, {name: metrics[name] for name in spec.objectives})


def study(arguments: argparse.Namespace) -> StudySpec:
    """The study of the command line."""
    spec = idle_spec(1)
    return dataclasses.replace(
        spec,
        objectives=dict(list(spec.objectives.items())[: arguments.objectives]),
        budget=BudgetConfig(trials=arguments.stored + arguments.trials),
        resources=ResourcesConfig(concurrent_trials=arguments.devices),
        sampler=SAMPLERS[arguments.sampler](),
        early_stopping=HalvingConfig(grace_epochs=1) if arguments.halving else None,
    )


def main() -> None:
    """Run one launch, and print its figures as it goes on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--halving", action="store_true", help="stop trials early")
    parser.add_argument("--objectives", type=int, choices=(1, 2), default=2)
    parser.add_argument("--stored", type=int, default=0, help="trials of earlier launches")
    parser.add_argument("--trials", type=int, default=10_000, help="trials of this one")
    parser.add_argument("--devices", type=int, default=SimulatedActors.devices)
    parser.add_argument("--every", type=int, default=256)
    arguments = parser.parse_args()
    print(f"{setting()}; {vars(arguments)}", flush=True)
    spec = study(arguments)
    SimulatedActors.devices = arguments.devices
    vars(tune_controller)["RayActorManager"] = SimulatedActors
    with tempfile.TemporaryDirectory() as temporary:
        directory = StudyDirectory.of(Path(temporary), spec.name)
        directory.create()
        store_trials(spec, directory, arguments.stored)
        meter = Meter(Ledger(spec, directory), arguments.every)
        for name, method in METHODS.items():
            setattr(StudySearcher, method, meter.method(name, getattr(StudySearcher, method)))
        run_trials(spec, directory, meter.follow)


if __name__ == "__main__":
    main()
