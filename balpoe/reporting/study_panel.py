"""How far a study is, for the eye: a live panel, or a plain line where a trial has ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from balpoe.reporting.formatting import duration, label, number_with_unit, signed_number
from balpoe.reporting.study_progress import Best, StudyProgress
from balpoe.reporting.time_left import epochs_done
from balpoe.study.trials.record import TrialRecord, TrialState

_BAR_WIDTH = 28
_STATES: Mapping[TrialState, str] = {
    "RUNNING": "running",
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
}


def study_panel(progress: StudyProgress) -> RenderableType:
    """The live view: how far, best so far, and the trials under way."""
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Text(progress.study, style="bold"),
        ProgressBar(total=progress.trials, completed=progress.finished, width=_BAR_WIDTH),
        f"{progress.so_far} trials",
        _time(progress),
    )
    parts: list[RenderableType] = [head, Text(counts(progress), style="dim")]
    if progress.best:
        parts += [Text(f"best   {best}") for best in _bests(progress)]
    if progress.running:
        parts.append(_running_table(progress))
    return Group(*parts)


def trial_line(record: TrialRecord, progress: StudyProgress) -> str:
    """One plain line for a trial that has just ended."""
    width = 0 if progress.trials is None else 2 * len(str(progress.trials)) + 1
    place = f"[{progress.so_far:>{width}}]"
    name = trial_name(record.identity.number, record.identity.repeat)
    return f"{place} {name} {_STATES[record.state]}: {_outcome(record)} ({_time(progress)})"


def _outcome(record: TrialRecord) -> str:
    """Why it failed, when it fell behind, or its objectives."""
    if record.failure:
        return record.failure
    if record.state == "PRUNED":
        return f"fell behind after epoch {epochs_done(record)}"
    objectives = "  ".join(
        f"{label(name)} {number_with_unit(name, value)}"
        for name, value in (record.objectives or {}).items()
    )
    broken = ", ".join(record.violations)
    return f"{objectives}, infeasible: {broken} is broken" if broken else objectives


def trial_name(number: int, repeat: int) -> str:
    """`trial 7`, and `trial 7 repeat 2` with a further seed."""
    return f"trial {number} repeat {repeat}" if repeat else f"trial {number}"


def _time(progress: StudyProgress) -> str:
    if not progress.left_seconds:
        return duration(progress.elapsed_seconds)
    return f"{duration(progress.elapsed_seconds)}, about {duration(progress.left_seconds)} left"


def counts(progress: StudyProgress) -> str:
    """`1 running · 3 complete · 0 pruned · 0 failed`."""
    numbers = {
        "RUNNING": len(progress.running),
        "COMPLETE": progress.complete,
        "PRUNED": progress.pruned,
        "FAIL": progress.failed,
    }
    infeasible = f" · {progress.infeasible} infeasible" if progress.infeasible else ""
    return " · ".join(f"{numbers[state]} {word}" for state, word in _STATES.items()) + infeasible


def _bests(progress: StudyProgress) -> Iterator[str]:
    for name, best in progress.best.items():
        yield f"{label(name)} {number_with_unit(name, best.value)} ({_origin(name, best)})"


def _origin(metric: str, best: Best) -> str:
    """`trial 7`, `trial 7, +2.1 over balpoe`."""
    trial = f"trial {best.number}"
    if best.gain is None:
        return trial
    return f"{trial}, {signed_number(metric, best.gain)} over {best.over}"


def _running_table(progress: StudyProgress) -> Table:
    table = Table.grid(padding=(0, 2))
    for trial in progress.running:
        table.add_row(
            trial_name(trial.number, trial.repeat),
            ProgressBar(total=trial.epochs, completed=trial.epoch, width=_BAR_WIDTH // 2),
            f"epoch {trial.epoch}/{trial.epochs}",
            *(f"{label(name)} {number_with_unit(name, v)}" for name, v in trial.newest.items()),
        )
    return table
