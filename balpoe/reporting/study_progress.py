"""The progress of a study, computed from the records of its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from balpoe.config import StudySpec
from balpoe.reporting.race_forecast import RaceForecast
from balpoe.reporting.time_left import epochs_of, seconds_left
from balpoe.study.search.planned_trials import best_known_point
from balpoe.study.selection.candidates import is_feasible
from balpoe.study.trials.record import TrialRecord, TrialState


@dataclass(frozen=True, slots=True)
class Best:
    """The best value of one objective so far, and the number of its trial.

    `known` is the known point that is best in this objective, with its value.
    """

    value: float
    number: int
    known: tuple[str, float] | None = None


@dataclass(frozen=True, slots=True)
class RunningTrial:
    """A running trial or repeat: its epochs in all, and the newest values of the objectives."""

    record: TrialRecord
    epochs: int
    newest: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """A study at one moment.

    `states` counts the trials of the search in each state, `infeasible` those that break a
    constraint. `running` holds running repeats too. `trials` is None if the budget is in hours,
    `left_seconds` is None until an epoch has been trained.
    """

    study: str
    trials: int | None
    states: Mapping[TrialState, int]
    infeasible: int
    running: tuple[RunningTrial, ...]
    best: Mapping[str, Best]
    elapsed_seconds: float
    left_seconds: float | None

    @property
    def left(self) -> int | None:
        """Trials of the budget that have not ended; None if the budget is in hours."""
        return None if self.trials is None else max(0, self.trials - self.finished)

    @property
    def so_far(self) -> str:
        """`4/12`, or `4` if the budget is in hours."""
        return str(self.finished) if self.trials is None else f"{self.finished}/{self.trials}"

    @property
    def finished(self) -> int:
        """Trials of the search that have ended."""
        return sum(self.states.values()) - self.states["RUNNING"]


def study_progress(
    spec: StudySpec,
    records: Sequence[TrialRecord],
    *,
    launches: Sequence[float],
    now: float,
    forecast: RaceForecast | None = None,
) -> StudyProgress:
    """Return the progress of the search, with all running trials and repeats.

    Args:
        spec: The study.
        records: Its trials and repeats so far, of this launch and of earlier ones.
        launches: The start of each launch, this one last; Unix seconds, as `now`.
        now: The present.
        forecast: The forecast of this study, kept between calls.
    """
    trials = [record for record in records if record.identity.repeat == 0]
    bests = {name: _best(spec, trials, name) for name in spec.objectives}
    return StudyProgress(
        study=spec.name,
        trials=spec.budget.trials,
        states=trial_states(records),
        infeasible=sum(bool(record.violations) for record in trials),
        running=tuple(_running(spec, record) for record in records if record.state == "RUNNING"),
        best={name: best for name, best in bests.items() if best is not None},
        elapsed_seconds=now - launches[-1],
        left_seconds=seconds_left(spec, records, launches, now, forecast or RaceForecast(spec)),
    )


def trial_states(records: Sequence[TrialRecord]) -> dict[TrialState, int]:
    """The number of trials in each state, without repeats."""
    states = [record.state for record in records if record.identity.repeat == 0]
    return {state: states.count(state) for state in get_args(TrialState)}


def _running(spec: StudySpec, record: TrialRecord) -> RunningTrial:
    newest = {
        name: value
        for result in record.history
        for name, value in result.metrics.items()
        if name in spec.objectives
    }
    return RunningTrial(record, epochs_of(spec, record), newest)


def _best(spec: StudySpec, trials: Sequence[TrialRecord], metric: str) -> Best | None:
    values = [
        (trial.objectives[metric], trial.identity.number)
        for trial in trials
        if trial.objectives is not None and is_feasible(trial)
    ]
    if not values:
        return None
    sign = 1 if spec.objectives[metric] == "minimize" else -1
    value, number = min(values, key=lambda each: (sign * each[0], each[1]))
    return Best(value, number, best_known_point(spec, trials, metric))
