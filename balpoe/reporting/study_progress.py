"""How far a study is, worked out from the records of its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from balpoe.config import StudySpec
from balpoe.reporting.race_forecast import RaceForecast
from balpoe.reporting.time_left import epochs_done, epochs_of, seconds_left
from balpoe.study.search.planned_trials import gain_over_points
from balpoe.study.selection.candidates import is_feasible
from balpoe.study.trials.record import TrialRecord


@dataclass(frozen=True, slots=True)
class Best:
    """The best value of one objective so far, and the number of its trial.

    `gain` is that over the known point which is best in it, called `over`.
    """

    value: float
    number: int
    over: str | None = None
    gain: float | None = None


@dataclass(frozen=True, slots=True)
class RunningTrial:
    """A trial, or a repeat of one, under way: epochs of all, and its newest objectives."""

    number: int
    repeat: int
    epoch: int
    epochs: int
    newest: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """A study at one moment.

    `infeasible` are those of the complete trials that break a constraint. `trials` is None where
    its budget is in hours, `left_seconds` until an epoch has been trained.
    """

    study: str
    trials: int | None
    complete: int
    failed: int
    pruned: int
    infeasible: int
    running: tuple[RunningTrial, ...]
    best: Mapping[str, Best]
    elapsed_seconds: float
    left_seconds: float | None

    @property
    def left(self) -> int | None:
        """Trials that are still to end; None where the budget is in hours."""
        return None if self.trials is None else max(0, self.trials - self.finished)

    @property
    def so_far(self) -> str:
        """`4/12`, or `4` where the budget is in hours."""
        return str(self.finished) if self.trials is None else f"{self.finished}/{self.trials}"

    @property
    def finished(self) -> int:
        """Trials that count towards the budget."""
        return self.complete + self.failed + self.pruned


def study_progress(
    spec: StudySpec,
    records: Sequence[TrialRecord],
    *,
    launches: Sequence[float],
    now: float,
    forecast: RaceForecast | None = None,
) -> StudyProgress:
    """The progress of the search; of repeats with further seeds only the running ones are told.

    Args:
        spec: The study.
        records: Its trials so far, of this launch and of earlier ones.
        launches: When its launches began, this one last; Unix seconds, as `now`.
        now: The present.
        forecast: That of the study, kept by whoever asks again and again.
    """
    trials = [record for record in records if record.identity.repeat == 0]
    states = [record.state for record in trials]
    bests = {name: _best(spec, trials, name) for name in spec.objectives}
    return StudyProgress(
        study=spec.name,
        trials=spec.budget.trials,
        complete=states.count("COMPLETE"),
        failed=states.count("FAIL"),
        pruned=states.count("PRUNED"),
        infeasible=sum(bool(record.violations) for record in trials),
        running=tuple(_running(spec, record) for record in records if record.state == "RUNNING"),
        best={name: best for name, best in bests.items() if best is not None},
        elapsed_seconds=now - launches[-1],
        left_seconds=seconds_left(spec, records, launches, now, forecast or RaceForecast(spec)),
    )


def _running(spec: StudySpec, record: TrialRecord) -> RunningTrial:
    newest = {
        name: value
        for result in record.history
        for name, value in result.metrics.items()
        if name in spec.objectives
    }
    number, repeat = record.identity.number, record.identity.repeat
    return RunningTrial(number, repeat, epochs_done(record), epochs_of(spec, record), newest)


def _best(spec: StudySpec, records: Sequence[TrialRecord], metric: str) -> Best | None:
    values = [
        Best(record.objectives[metric], record.identity.number)
        for record in records
        if record.objectives is not None and is_feasible(record)
    ]
    sign = 1 if spec.objectives[metric] == "minimize" else -1
    best = min(values, key=lambda best: (sign * best.value, best.number), default=None)
    if best is None:
        return None
    over = gain_over_points(spec, records, metric, best.value)
    return best if over is None else replace(best, over=over.point, gain=over.gain)
