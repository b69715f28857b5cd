"""A study with invented figures, and a way to see what a renderable looks like."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from rich.console import Console, RenderableType

from balpoe.config import (
    BudgetConfig,
    CategoricalParameter,
    Choice,
    Configuration,
    FloatParameter,
    IntParameter,
    StudySpec,
    TrainingConfig,
)
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.study.trials.record import TrialIdentity, TrialRecord, TrialState
from balpoe.training.epoch import EpochResult

LAUNCHED = 1000.0
PARAMETERS: Mapping[str, Choice] = {
    "experts.count": 3,
    "experts.spread": 0.4371,
    "experts.sharing": "independent",
    "mixup.alpha": 0.2,
}


@pytest.fixture
def spec() -> StudySpec:
    return StudySpec(
        name="digits_lt",
        base=Configuration(data=DigitsLT(), training=TrainingConfig(epochs=20)),
        search={
            "experts.count": IntParameter(low=1, high=7),
            "experts.spread": FloatParameter(low=0.0, high=2.0),
            "experts.sharing": CategoricalParameter(choices=("shared", "independent")),
            "mixup.alpha": FloatParameter(low=0.0, high=1.0),
        },
        objectives={"val/accuracy": "maximize", "val/ece": "minimize"},
        budget=BudgetConfig(trials=12),
    )


@pytest.fixture
def make_record() -> Callable[..., TrialRecord]:
    """A trial launched at 1000 s whose epochs take a second each."""

    def make(
        number: int,
        state: TrialState = "COMPLETE",
        *,
        epochs: int = 20,
        accuracy: float = 0.9,
        ece: float = 0.05,
        repeat: int = 0,
        failure: str | None = None,
        began: float = LAUNCHED,
        parameters: Mapping[str, Choice] = PARAMETERS,
    ) -> TrialRecord:
        metrics = {"val/accuracy": accuracy, "val/ece": ece}
        return TrialRecord(
            identity=TrialIdentity("digits_lt", number, repeat),
            parameters=parameters,
            state=state,
            history=tuple(EpochResult(e, began + e, metrics) for e in range(1, epochs + 1)),
            objectives=metrics if state == "COMPLETE" else None,
            failure=failure,
            data_fingerprint="",
            started=began,
            ended=None if state == "RUNNING" else began + epochs,
        )

    return make


@pytest.fixture
def lines() -> Callable[[RenderableType], list[str]]:
    """What a renderable puts on a screen of 80 columns, without colours."""

    def render(renderable: RenderableType) -> list[str]:
        console = Console(width=80, color_system=None)
        with console.capture() as captured:
            console.print(renderable)
        return [line.rstrip() for line in captured.get().splitlines()]

    return render
