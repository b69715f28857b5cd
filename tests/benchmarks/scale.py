"""What the driver of a study costs with 256 devices and 10,000 trials, by a simulated clock.

    uv run python -m tests.benchmarks.scale --sampler tpe --trials 10000

The searcher, the ledger and Optuna's storage are the real ones; devices, workers and Tune are
not there. A trial has ten epochs, whose ends are events on the simulated clock, and its curve
is one of those recorded with it: accuracy and ECE by its parameters, with noise. Every thousand
trials it prints the CPU seconds of a trial, by what took them, and the resident memory.
"""

from __future__ import annotations

import argparse
import dataclasses
import heapq
import json
import math
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from balpoe.config import BudgetConfig, ResourcesConfig, SamplerConfig, StudySpec
from balpoe.study.budget import Account, Spent
from balpoe.study.directory import StudyDirectory
from balpoe.study.events import StudyEvent
from balpoe.study.gpu_memory import GpuMemory
from balpoe.study.interruption import Interruption
from balpoe.study.ledger import Ledger
from balpoe.study.searcher import StudySearcher
from balpoe.study.trial_actor import COMPLETE, EPOCH, PARAMETERS
from balpoe.study.trial_book import TrialBook
from tests.benchmarks.idle_study import idle_spec

EPOCHS = 10
ACCURACY, ECE = "val/accuracy", "val/ece"


@dataclass
class Meter:
    """CPU seconds of the driver since the last report, by what it did."""

    seconds: dict[str, float] = field(default_factory=dict)

    def __call__(self, name: str, act: Callable[..., Any], *arguments: Any) -> Any:
        started = time.process_time()
        try:
            return act(*arguments)
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - started


@dataclass(order=True)
class Moment:
    """The end of an epoch of a trial, on the simulated clock."""

    at: float
    trial_id: str
    epoch: int = field(compare=False)
    epoch_seconds: float = field(compare=False)
    curve: tuple[float, float] = field(compare=False)


class Simulation:
    """A study on `devices` simulated devices."""

    def __init__(self, spec: StudySpec, directory: StudyDirectory, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._devices = spec.resources.concurrent_trials
        ledger = Ledger(spec, directory)
        ledger.begin_launch()
        account = Account(Spent(0, 0.0, 0.0), spec.resources)
        self._searcher = StudySearcher(
            spec,
            TrialBook(spec, ledger, directory),
            self._listen,
            Interruption(),
            account,
            GpuMemory(spec, directory.memory),
        )
        self._moments: list[Moment] = []
        self._begun = self.ended = 0
        self.meter = Meter()

    def advance(self, trials: int) -> bool:
        """Go on until `trials` have ended, or the study has."""
        while self.ended < trials:
            self._fill()
            if not self._moments:
                return False
            self._next_moment()
            if self._searcher.fault is not None:
                raise self._searcher.fault
        return True

    def _listen(self, event: StudyEvent) -> None:
        pass

    def _fill(self) -> None:
        while len(self._moments) < self._devices:
            trial_id = f"{self._begun:08d}"
            config = self.meter("ask", self._searcher.suggest, trial_id)
            if not isinstance(config, dict):
                return
            self._begun += 1
            seconds = float(self._generator.lognormal(0.0, 0.3))
            now = self._moments[0].at if self._moments else 0.0
            curve = self._curve(config[PARAMETERS])
            heapq.heappush(self._moments, Moment(now + seconds, trial_id, 1, seconds, curve))

    def _curve(self, parameters: dict[str, Any]) -> tuple[float, float]:
        """The end of a trial's curve: more experts and some spread help, mixup calibrates."""
        spread, alpha = parameters.get("experts.spread", 0.0), parameters["mixup.alpha"]
        gain = 0.03 * math.log(parameters["experts.count"]) - 0.02 * (spread - 1.0) ** 2
        noise = self._generator.normal(0.0, 0.005, size=2)
        return 0.85 + gain + noise[0], 0.05 + 0.05 * (alpha - 0.4) ** 2 + abs(noise[1])

    def _next_moment(self) -> None:
        moment = heapq.heappop(self._moments)
        accuracy, ece = moment.curve
        part = 1 - math.exp(-moment.epoch / 3)
        metrics = {ACCURACY: accuracy * part, ECE: ece / part}
        if moment.epoch < EPOCHS:
            result = {EPOCH: moment.epoch, **metrics}
            self.meter("report", self._searcher.on_trial_result, moment.trial_id, result)
            later = moment.at + moment.epoch_seconds
            following = dataclasses.replace(moment, at=later, epoch=moment.epoch + 1)
            heapq.heappush(self._moments, following)
        else:
            result = {COMPLETE: True, **metrics}
            self.meter("tell", self._searcher.on_trial_complete, moment.trial_id, result)
            self.ended += 1


def main() -> None:
    """Simulate one study and print its figures as it grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--objectives", type=int, choices=(1, 2), default=2)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--devices", type=int, default=256)
    parser.add_argument("--every", type=int, default=1_000)
    parser.add_argument("--cpu-seconds", type=float, default=math.inf, help="end after so many")
    arguments = parser.parse_args()
    print(f"{platform.processor()} optuna {version('optuna')} {vars(arguments)}", flush=True)
    spec = idle_spec(arguments.trials)
    spec = dataclasses.replace(
        spec,
        objectives=dict(list(spec.objectives.items())[: arguments.objectives]),
        budget=BudgetConfig(trials=arguments.trials),
        resources=ResourcesConfig(concurrent_trials=arguments.devices),
        sampler=SamplerConfig(name=arguments.sampler),
    )
    with tempfile.TemporaryDirectory() as temporary:
        directory = StudyDirectory.of(Path(temporary), spec.name)
        directory.create()
        simulation = Simulation(spec, directory, seed=0)
        for target in range(arguments.every, arguments.trials + 1, arguments.every):
            before = simulation.ended
            simulation.meter.seconds.clear()
            simulation.advance(target)
            seconds = simulation.meter.seconds
            figures = {
                name: round(s / (simulation.ended - before), 5) for name, s in seconds.items()
            }
            mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(json.dumps({"trials": simulation.ended, **figures, "rss_mib": mib}), flush=True)
            if time.process_time() > arguments.cpu_seconds:
                return


if __name__ == "__main__":
    main()
