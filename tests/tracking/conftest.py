"""A study with invented values, and records of its trials in any state."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from balpoe.config import BudgetConfig, Configuration, FloatParameter, StudySpec
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.study.trials.record import TrialIdentity, TrialRecord, TrialState
from balpoe.training.epoch import EpochResult

START = 1_790_000_000.0


@pytest.fixture
def spec(request: pytest.FixtureRequest) -> StudySpec:
    """A study named after the test, so that tests share a store but not an experiment."""
    return StudySpec(
        name=re.sub(r"\W", "_", request.node.name)[:100],
        base=Configuration(data=DigitsLT()),
        search={"mixup.alpha": FloatParameter(low=0.0, high=1.0)},
        objectives={"val/accuracy": "maximize", "val/ece": "minimize"},
        budget=BudgetConfig(trials=4),
        question="Does mixup help?",
    )


@pytest.fixture
def make_record(spec: StudySpec) -> Callable[..., TrialRecord]:
    """A trial after `epochs` epochs; a COMPLETE one has objectives and an end."""

    def make(
        number: int,
        epochs: int,
        state: TrialState = "RUNNING",
        *,
        repeat: int = 0,
        attempt: int = 0,
        failure: str | None = None,
        accuracy: float = 0.9,
        experts: int = 1,
        later: float = 0.0,
        loss: float = 2.0,
    ) -> TrialRecord:
        history = tuple(
            EpochResult(
                epoch,
                START + 100 * number + epoch + later,
                {"train/loss": loss / epoch, "val/accuracy": accuracy, "val/ece": 0.05}
                | {f"val/expert_{e}/ece": 0.1 * e for e in range(experts)},
            )
            for epoch in range(1, epochs + 1)
        )
        complete = state == "COMPLETE"
        return TrialRecord(
            identity=TrialIdentity(spec.name, number, repeat, attempt),
            parameters={"mixup.alpha": number / 4},
            state=state,
            history=history,
            objectives={"val/accuracy": accuracy, "val/ece": 0.05} if complete else None,
            failure=failure,
            data_fingerprint="sha256:0123",
            started=START + 100 * number,
            ended=None if state == "RUNNING" else START + 100 * number + epochs + 1,
        )

    return make
