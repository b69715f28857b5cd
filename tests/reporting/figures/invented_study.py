"""Invented trials of a study, with histories, in every state."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from balpoe.config import (
    BudgetConfig,
    CategoricalParameter,
    Choice,
    Configuration,
    Direction,
    FloatParameter,
    IntParameter,
    StudySpec,
    TrainingConfig,
)
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.study.trials.record import TrialIdentity, TrialRecord, TrialState
from balpoe.training.epoch import EpochResult

ACCURACY, ECE = "val/balanced_accuracy", "val/balanced_ece"
TWO: Mapping[str, Direction] = {ACCURACY: "maximize", ECE: "minimize"}
RECALL = "val/class/<script>$x_1$/recall"
SEARCH = {
    "experts.count": IntParameter(low=1, high=7),
    "experts.spread": FloatParameter(low=0.0, high=2.0),
    "experts.sharing": CategoricalParameter(choices=("shared", "independent")),
    "training.learning_rate": FloatParameter(low=0.001, high=0.1, log=True),
}
EPOCHS = 8


def invented_spec(objectives: Mapping[str, Direction] = TWO, **fields: Any) -> StudySpec:
    """Return a study of 12 trials with 8 epochs each, without known points."""
    settings = {"search": SEARCH, "known_points": {}} | fields
    return StudySpec(
        name="digits_lt",
        base=Configuration(data=DigitsLT(), training=TrainingConfig(epochs=EPOCHS)),
        objectives=dict(objectives),
        budget=BudgetConfig(trials=12),
        **settings,
    )


def invented_record(
    number: int,
    objectives: Mapping[str, float],
    state: TrialState = "COMPLETE",
    *,
    repeat: int = 0,
    epochs: int = EPOCHS,
    started: float = 0.0,
    parameters: Mapping[str, Choice] | None = None,
    **fields: Any,
) -> TrialRecord:
    """Return a trial whose epochs take 10 s each, and whose metrics rise to the `objectives`."""
    drawn = random.Random(number)
    return TrialRecord(
        identity=TrialIdentity("digits_lt", number, repeat),
        parameters=parameters if parameters is not None else _sampled(drawn),
        state=state,
        history=tuple(
            EpochResult(e, started + 10 * e, {k: v * e / epochs for k, v in objectives.items()})
            for e in range(1, epochs + 1)
        ),
        objectives=dict(objectives) if state == "COMPLETE" else None,
        failure="out of luck" if state == "FAIL" else None,
        data_fingerprint="",
        started=started,
        ended=None if state == "RUNNING" else started + 10 * epochs + 5,
        **fields,
    )


def invented_trials(
    spec: StudySpec, count: int, states: Sequence[TrialState] = ("COMPLETE",)
) -> list[TrialRecord]:
    """Return trials with the `states` in turn, one after the other on two workers."""
    drawn = random.Random(0)
    return [
        invented_record(
            number,
            {name: drawn.uniform(0.01, 0.99) for name in spec.objectives},
            states[number % len(states)],
            started=100.0 * (number // 2),
        )
        for number in range(count)
    ]


def _sampled(drawn: random.Random) -> dict[str, Choice]:
    return {
        "experts.count": drawn.randint(1, 7),
        "experts.spread": drawn.uniform(0, 2),
        "experts.sharing": drawn.choice(("shared", "independent")),
        "training.learning_rate": math.exp(drawn.uniform(math.log(0.001), math.log(0.1))),
    }
