"""What Optuna's storage knows of one trial, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from balpoe.config import Choice, StudySpec
from balpoe.config.constraints import violated
from balpoe.study.search.planned_trials import recorded_parameters
from balpoe.study.trials.failures import FailureClass
from balpoe.study.trials.record import TrialState as State

ATTEMPT, FAILURE, FAILURE_CLASS = "attempt", "failure", "failure_class"
FIXED = "fixed_parameters"
STARTED, ENDED = "started", "ended"
"""In Unix seconds: Optuna's own times are those of the zone where its driver was.

Trials of earlier versions have those alone.
"""

STATES: dict[TrialState, State] = {
    TrialState.RUNNING: "RUNNING",
    TrialState.COMPLETE: "COMPLETE",
    TrialState.PRUNED: "PRUNED",
    TrialState.FAIL: "FAIL",
}


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What the storage knows of a trial. Times in Unix seconds.

    `violations` are the constraints that it breaks, and how far it is beyond each.
    """

    number: int
    attempt: int
    parameters: Mapping[str, Choice]
    state: State
    objectives: Mapping[str, float] | None
    failure: str | None
    failure_class: FailureClass | None
    started: float
    ended: float | None
    violations: Mapping[str, float]


def ledger_entry(trial: FrozenTrial, spec: StudySpec) -> LedgerEntry:
    """The entry of a trial that has begun."""
    complete, failed = (trial.state == state for state in (TrialState.COMPLETE, TrialState.FAIL))
    assert trial.datetime_start is not None
    started = trial.user_attrs.get(STARTED, trial.datetime_start.timestamp())
    ended = None
    if trial.datetime_complete is not None:
        ended = trial.user_attrs.get(ENDED, trial.datetime_complete.timestamp())
    return LedgerEntry(
        number=trial.number,
        attempt=int(trial.user_attrs.get(ATTEMPT, 0)),
        parameters=parameters_of(trial, spec),
        state=STATES[trial.state],
        objectives=dict(zip(spec.objectives, trial.values, strict=True)) if complete else None,
        failure=trial.user_attrs.get(FAILURE) if failed else None,
        failure_class=trial.user_attrs.get(FAILURE_CLASS) if failed else None,
        started=started,
        # the driver's clock may have been set back meanwhile
        ended=None if ended is None else max(started, ended),
        violations=violated(trial.constraints),
    )


def parameters_of(trial: FrozenTrial, spec: StudySpec) -> Mapping[str, Choice]:
    """The parameters of a trial as they are recorded; of a queued one, those that it will have."""
    fixed: Mapping[str, Choice] | None = trial.user_attrs.get(FIXED)
    if fixed is not None:
        return fixed
    queued = trial.system_attrs.get("fixed_params", {})
    return recorded_parameters(spec, {**queued, **trial.params})
