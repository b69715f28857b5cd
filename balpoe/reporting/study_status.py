"""The status of a study, as text for the screen and as plain data for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from balpoe.config import StudySpec
from balpoe.reporting.formatting import (
    duration,
    label_and_number,
    number_with_unit,
    trial_name,
)
from balpoe.reporting.front_table import parameter_cells
from balpoe.reporting.study_panel import outcome_line, state_counts
from balpoe.reporting.study_progress import RunningTrial, StudyProgress, study_progress
from balpoe.reporting.table_style import Cell, table_of, text_cell
from balpoe.reporting.time_left import epochs_done, epochs_of
from balpoe.study.search.spent_budget import SpentBudget, search_is_over
from balpoe.study.selection.comparison import Verdict
from balpoe.study.storage.lease import LeaseHolder
from balpoe.study.trials.record import TrialRecord


@dataclass(frozen=True, slots=True)
class StudyStatus:
    """A study at the Unix time `now`.

    `trials` holds all trials and repeats; only RUNNING ones have a history: the epochs on disk, and
    the newest epoch if a driver runs the study.
    `spent` is the part of the budget spent up to their last recorded moment. `repeats_left` counts
    the further seeds that the present round of the race still lacks, `pairs` the pairs of trials
    on the front by verdict. `driver` is the process that runs the study, or None. `floors` are the
    floors of calibration errors by trial number and metric, as far as they are stored.
    """

    spec: StudySpec
    trials: tuple[TrialRecord, ...]
    spent: SpentBudget
    repeats_left: int
    pairs: Mapping[Verdict, int]
    driver: LeaseHolder | None
    now: float
    floors: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    @property
    def best_trials(self) -> tuple[TrialRecord, ...]:
        """The trials with the best value of an objective."""
        numbers = {best.number for best in _progress(self).best.values()}
        return tuple(
            trial
            for trial in self.trials
            if trial.identity.number in numbers and trial.identity.repeat == 0
        )


def status_report(status: StudyStatus) -> RenderableType:
    """Trials by state, the best value of each objective and the running trials."""
    progress = _progress(status)
    parts: list[RenderableType] = list(_lines(status, progress))
    if progress.running:
        rows = (_running_cells(status, trial) for trial in progress.running)
        caption = None if status.driver else "epochs of the last checkpoint"
        parts += [Text(), table_of("Running", rows, caption)]
    return Group(*parts)


def status_changes(before: StudyStatus | None, after: StudyStatus) -> Iterator[str]:
    """Yield a line for each trial or repeat that has begun, ended, or finished an epoch."""
    progress = _progress(after)
    known = {} if before is None else {_key(trial): trial for trial in before.trials}
    for trial in after.trials:
        earlier = known.get(_key(trial))
        if trial.state == "RUNNING":
            epoch = epochs_done(trial)
            if earlier is None or epochs_done(earlier) != epoch:
                name = trial_name(trial.identity)
                yield f"{name}: epoch {epoch}/{epochs_of(after.spec, trial)}"
        elif before is not None and (earlier is None or earlier.state == "RUNNING"):
            yield outcome_line(trial, progress)


def status_plain(status: StudyStatus) -> dict[str, Any]:
    """The status as plain data; times in Unix seconds."""
    progress, budget, spent = _progress(status), status.spec.budget, status.spent
    return {
        "study": status.spec.name,
        "time": status.now,
        "budget": asdict(budget),
        "left": {
            "trials": progress.left,
            "wall_hours": _left(budget.wall_hours, spent.wall_seconds),
            "device_hours": _left(budget.device_hours, spent.device_seconds),
            "repeats": status.repeats_left,
        },
        "pairs": dict(status.pairs),
        "trials": dict(progress.states),
        "infeasible": progress.infeasible,
        "best": {
            name: {
                "value": best.value,
                "trial": best.number,
                "floor": status.floors.get(best.number, {}).get(name),
            }
            for name, best in progress.best.items()
        },
        "running": [_running_plain(trial) for trial in progress.running],
        "driver": asdict(status.driver) if status.driver else None,
    }


def _key(trial: TrialRecord) -> tuple[int, int]:
    return trial.identity.number, trial.identity.repeat


def _running_plain(trial: RunningTrial) -> dict[str, Any]:
    record = trial.record
    return {
        "trial": record.identity.number,
        "repeat": record.identity.repeat,
        "attempt": record.identity.attempt,
        "epoch": epochs_done(record),
        "epochs": trial.epochs,
        "started": record.started,
        "last_epoch_ended": _last_epoch_ended(record),
        "parameters": dict(record.parameters),
    }


def _progress(status: StudyStatus) -> StudyProgress:
    return study_progress(status.spec, status.trials, launches=[status.now], now=status.now)


def _lines(status: StudyStatus, progress: StudyProgress) -> Iterator[Text]:
    """What has been trained and spent, the best values, the race, and the process that runs it."""
    budget, spent = status.spec.budget, status.spent
    ended = "trials have ended"
    if progress.trials is not None:
        ended = f"of {progress.trials} trials have ended, {progress.left} left"
    yield Text(f"{status.spec.name}: {progress.finished} {ended}")
    if budget.wall_hours is not None:
        yield Text(f"{duration(spent.wall_seconds)} of {budget.wall_hours:g} wall hours spent")
    if budget.device_hours is not None:
        hours = f"{duration(spent.device_seconds)} of {budget.device_hours:g}"
        yield Text(f"{hours} device hours spent")
    yield Text(state_counts(progress), style="dim")
    for name, best in progress.best.items():
        floor = status.floors.get(best.number, {}).get(name)
        by_chance = "" if floor is None else f" (floor {number_with_unit(name, floor)})"
        yield Text(f"best {label_and_number(name, best.value)}{by_chance}, trial {best.number}")
    if status.repeats_left:
        yield Text(f"further seeds to train in this round: {status.repeats_left}")
    if any(status.pairs[verdict] for verdict in ("separable", "not separable")):
        pairs = (f"{count} {verdict}" for verdict, count in status.pairs.items() if count)
        yield Text(f"pairs of the front: {', '.join(pairs)}")
    if status.driver:
        yield Text(f"run by {status.driver}")
    elif search_is_over(status.spec, status.trials, status.spent) and not status.repeats_left:
        yield Text("finished")
    else:
        yield Text("not running: `balpoe run` with its study file continues it")


def _running_cells(status: StudyStatus, trial: RunningTrial) -> Iterator[Cell]:
    record = trial.record
    name = trial_name(record.identity).removeprefix("trial ")
    ended = _last_epoch_ended(record)
    yield text_cell("trial", name, justify="right", style="bold")
    yield text_cell("epoch", f"{epochs_done(record)}/{trial.epochs}", justify="right")
    yield text_cell("age", _age(record.started, status.now), justify="right")
    last = "–" if ended is None else f"{_age(ended, status.now)} ago"
    yield text_cell("last epoch", last, justify="right")
    yield from parameter_cells(status.spec, record)


def _age(moment: float, now: float) -> str:
    # the clock of this host may be behind that of the driver: no age is negative
    return duration(max(0.0, now - moment))


def _left(hours: float | None, spent_seconds: float) -> float | None:
    return None if hours is None else max(0.0, hours - spent_seconds / 3600)


def _last_epoch_ended(record: TrialRecord) -> float | None:
    return record.history[-1].unix_time if record.history else None
