"""A trial in Optuna's storage: the names of its attributes, and what is read from it."""

from __future__ import annotations

from collections.abc import Mapping

from optuna.trial import FrozenTrial, TrialState

from balpoe.config import Choice, StudySpec
from balpoe.config.constraints import violated
from balpoe.config.earlier_names import converted_bound
from balpoe.study.search.planned_trials import recorded_parameters
from balpoe.study.storage.optuna_private import queued_parameters
from balpoe.study.trials.record import TrialIdentity, TrialRecord
from balpoe.study.trials.record import TrialState as State
from balpoe.study.trials.retries import RetryState

ATTEMPT, EXCLUSIVE = "attempt", "alone"
DEATHS, DEATH_EPOCH = "deaths_without_progress", "death_epoch"
FAILURE, FAILURE_CLASS = "failure", "failure_class"
FIXED = "fixed_parameters"
STARTED, ENDED = "started", "ended"
"""In Unix seconds: Optuna's own times are in the time zone of the driver's host.

Trials of earlier versions have Optuna's times only.
"""

STATES: dict[TrialState, State] = {
    TrialState.RUNNING: "RUNNING",
    TrialState.COMPLETE: "COMPLETE",
    TrialState.PRUNED: "PRUNED",
    TrialState.FAIL: "FAIL",
}


def record_of(trial: FrozenTrial, spec: StudySpec) -> TrialRecord:
    """Return the record of a trial that has begun, without what its files hold."""
    complete, failed = (trial.state == state for state in (TrialState.COMPLETE, TrialState.FAIL))
    assert trial.datetime_start is not None
    started = trial.user_attrs.get(STARTED, trial.datetime_start.timestamp())
    ended = None
    if trial.datetime_complete is not None:
        ended = trial.user_attrs.get(ENDED, trial.datetime_complete.timestamp())
    return TrialRecord(
        identity=TrialIdentity(spec.name, trial.number, attempt=retries_of(trial).attempt),
        parameters=parameters_of(trial, spec),
        state=STATES[trial.state],
        history=(),
        objectives=dict(zip(spec.objectives, trial.values, strict=True)) if complete else None,
        failure=trial.user_attrs.get(FAILURE) if failed else None,
        failure_class=trial.user_attrs.get(FAILURE_CLASS) if failed else None,
        data_fingerprint=None,
        started=started,
        # the driver's clock may have been set back meanwhile
        ended=None if ended is None else max(started, ended),
        violations=_violations(trial, spec),
    )


def _violations(trial: FrozenTrial, spec: StudySpec) -> dict[str, float]:
    """Return the violated constraints, by the present names of their metrics."""
    return {
        bound if bound.partition(" ")[0] in spec.constraints else converted_bound(bound): excess
        for bound, excess in violated(trial.constraints).items()
    }


def retries_of(trial: FrozenTrial) -> RetryState:
    """Return the attempts at a trial so far."""
    stored = trial.user_attrs
    return RetryState(
        attempt=int(stored.get(ATTEMPT, 0)),
        exclusive=bool(stored.get(EXCLUSIVE, False)),
        deaths=int(stored.get(DEATHS, 0)),
        death_epoch=stored.get(DEATH_EPOCH, 0),
    )


def changed_retries(before: RetryState, after: RetryState) -> dict[str, int | bool]:
    """Return the attributes to write where the retry state of a trial changes."""
    changed: dict[str, int | bool] = {}
    if after.attempt != before.attempt:
        changed[ATTEMPT] = after.attempt
    if after.exclusive != before.exclusive:
        changed[EXCLUSIVE] = after.exclusive
    if (after.deaths, after.death_epoch) != (before.deaths, before.death_epoch):
        changed |= {DEATH_EPOCH: after.death_epoch, DEATHS: after.deaths}
    return changed


def parameters_of(trial: FrozenTrial, spec: StudySpec) -> Mapping[str, Choice]:
    """Return the parameters of a trial as they are recorded; of a queued trial, those planned."""
    fixed: Mapping[str, Choice] | None = trial.user_attrs.get(FIXED)
    if fixed is not None:
        return fixed
    return recorded_parameters(spec, {**queued_parameters(trial), **trial.params})
