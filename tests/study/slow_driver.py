"""A driver in a process of its own, whose trials take their time: `slow_driver.py RUNS TRIALS`.

It prints a line for every event, and at the end the signal that stopped it, or None.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from balpoe.config import BudgetConfig, Configuration, FloatParameter, StudySpec
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.study.execution.executor import run_trials
from balpoe.study.execution.trial import Course, TrialTask
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import EpochReported, StopRequested, StudyEvent, WarmStarted
from balpoe.training.epoch import EpochResult

EPOCHS = 4


def spec(trials: int) -> StudySpec:
    return StudySpec(
        name="digits",
        base=Configuration(data=DigitsLT()),
        search={"mixup.alpha": FloatParameter(low=0.0, high=1.0)},
        objectives={"val/accuracy": "maximize"},
        budget=BudgetConfig(trials=trials),
    )


def slow_trial(task: TrialTask) -> Course:
    """Its accuracy is its parameter, so that a mixed-up trial shows."""
    metrics = {"val/accuracy": float(task.parameters["mixup.alpha"])}
    task.directory.create()
    try:
        for epoch in range(1, EPOCHS + 1):
            time.sleep(0.3)
            yield EpochResult(epoch, time.time(), metrics)
    except GeneratorExit:
        (task.directory.path / "left_gently").touch()
        raise
    return metrics


def announce(event: StudyEvent) -> None:
    if isinstance(event, StopRequested | WarmStarted):
        print(type(event).__name__, flush=True)
        return
    epoch = event.epoch if isinstance(event, EpochReported) else 0
    print(type(event).__name__, event.identity.number, epoch, flush=True)


if __name__ == "__main__":
    directory = StudyDirectory.of(Path(sys.argv[1]), "digits")
    end = run_trials(spec(int(sys.argv[2])), directory, announce, run=slow_trial)
    print(end.signal, flush=True)
