"""A study whose trials last a minute: `memory_driver.py RUNS`; its memory is watched by Ray."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from balpoe.config import BudgetConfig, Configuration, FloatParameter, StudySpec
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.study.execution.executor import run_trials
from balpoe.study.execution.trial import Course, TrialTask
from balpoe.study.records.ledger import Ledger
from balpoe.study.trials.directory import StudyDirectory


def spec() -> StudySpec:
    return StudySpec(
        name="digits",
        base=Configuration(data=DigitsLT()),
        search={"mixup.alpha": FloatParameter(low=0.0, high=1.0)},
        objectives={"val/accuracy": "maximize"},
        budget=BudgetConfig(trials=2),
    )


def long_trial(task: TrialTask) -> Course:
    time.sleep(60)
    yield from ()
    return {"val/accuracy": 1.0}


if __name__ == "__main__":
    directory = StudyDirectory.of(Path(sys.argv[1]), "digits")
    print(run_trials(spec(), directory, lambda event: None, run=long_trial))
    for entry in Ledger(spec(), directory).records():
        print(entry.state, entry.identity.attempt, entry.failure_class, entry.failure)
