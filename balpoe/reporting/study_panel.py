"""How far a study is, for the eye: a live panel, or a plain line where a trial has ended."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from balpoe.reporting.figures import clock, label, number_with_unit
from balpoe.reporting.study_progress import StudyProgress
from balpoe.study.record import TrialRecord, TrialState

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
        f"{progress.finished}/{progress.trials} trials",
        _time(progress),
    )
    parts: list[RenderableType] = [head, Text(_counts(progress), style="dim")]
    if progress.best:
        parts.append(Text(f"best   {_bests(progress)}"))
    if progress.running:
        parts.append(_running_table(progress))
    return Group(*parts)


def trial_line(record: TrialRecord, progress: StudyProgress) -> str:
    """One plain line for a trial that has just ended."""
    width = len(str(progress.trials))
    place = f"[{progress.finished:>{width}}/{progress.trials}]"
    outcome = record.failure or "  ".join(
        f"{label(name)} {number_with_unit(name, value)}"
        for name, value in (record.objectives or {}).items()
    )
    state = _STATES[record.state]
    return f"{place} trial {record.identity.number} {state}: {outcome} ({_time(progress)})"


def _time(progress: StudyProgress) -> str:
    if progress.left_seconds is None or progress.finished >= progress.trials:
        return clock(progress.elapsed_seconds)
    return f"{clock(progress.elapsed_seconds)}, about {clock(progress.left_seconds)} left"


def _counts(progress: StudyProgress) -> str:
    counts = {
        "RUNNING": len(progress.running),
        "COMPLETE": progress.complete,
        "PRUNED": progress.pruned,
        "FAIL": progress.failed,
    }
    return " · ".join(f"{counts[state]} {word}" for state, word in _STATES.items())


def _bests(progress: StudyProgress) -> str:
    return "   ".join(
        f"{label(name)} {number_with_unit(name, best.value)} (trial {best.number})"
        for name, best in progress.best.items()
    )


def _running_table(progress: StudyProgress) -> Table:
    table = Table.grid(padding=(0, 2))
    for trial in progress.running:
        table.add_row(
            f"trial {trial.number}",
            ProgressBar(total=trial.epochs, completed=trial.epoch, width=_BAR_WIDTH // 2),
            f"epoch {trial.epoch}/{trial.epochs}",
            *(f"{label(name)} {number_with_unit(name, v)}" for name, v in trial.newest.items()),
        )
    return table
