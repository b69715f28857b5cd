"""The progress of a running study as a live panel, or as a plain line for each ended trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from balpoe.reporting.formatting import duration, label_and_number, number_with_unit, trial_name
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
    """The live panel: trials by state, best values and running trials."""
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Text(progress.study, style="bold"),
        ProgressBar(total=progress.trials, completed=progress.finished, width=_BAR_WIDTH),
        f"{progress.so_far} trials",
        _time(progress),
    )
    parts: list[RenderableType] = [head, Text(state_counts(progress), style="dim")]
    parts += [Text(f"best   {best}") for best in _bests(progress)]
    if progress.running:
        parts.append(_running_table(progress))
    return Group(*parts)


def trial_line(record: TrialRecord, progress: StudyProgress) -> str:
    """A plain line for a trial that has ended, with the time of the launch."""
    return f"{outcome_line(record, progress)} ({_time(progress)})"


def outcome_line(record: TrialRecord, progress: StudyProgress) -> str:
    """A plain line for a trial that has ended."""
    width = 0 if progress.trials is None else 2 * len(str(progress.trials)) + 1
    ended = f"[{progress.so_far:>{width}}] {trial_name(record.identity)} {_STATES[record.state]}"
    outcome = _outcome(record)
    return f"{ended}: {outcome}" if outcome else ended


def state_counts(progress: StudyProgress) -> str:
    """`1 running · 3 complete · 0 pruned · 0 failed`."""
    numbers = {**progress.states, "RUNNING": len(progress.running)}
    infeasible = f" · {progress.infeasible} infeasible" if progress.infeasible else ""
    return " · ".join(f"{numbers[state]} {word}" for state, word in _STATES.items()) + infeasible


def _outcome(record: TrialRecord) -> str:
    """The reason of a failure, the epoch at which the trial was pruned, or its objectives."""
    if record.failure:
        return record.failure
    if record.state == "PRUNED":  # summaries have no epochs
        return f"stopped after epoch {epochs_done(record)}" if record.history else ""
    objectives = "  ".join(
        label_and_number(name, value) for name, value in (record.objectives or {}).items()
    )
    broken = ", ".join(record.violations)
    return f"{objectives}, infeasible: {broken} is broken" if broken else objectives


def _time(progress: StudyProgress) -> str:
    if not progress.left_seconds:
        return duration(progress.elapsed_seconds)
    return f"{duration(progress.elapsed_seconds)}, about {duration(progress.left_seconds)} left"


def _bests(progress: StudyProgress) -> Iterator[str]:
    for name, best in progress.best.items():
        yield f"{label_and_number(name, best.value)} ({_origin(name, best)})"


def _origin(metric: str, best: Best) -> str:
    """`trial 7`, `trial 7; balpoe 91.2 %`."""
    trial = f"trial {best.number}"
    if best.known is None:
        return trial
    name, value = best.known
    return f"{trial}; {name} {number_with_unit(metric, value)}"


def _running_table(progress: StudyProgress) -> Table:
    table = Table.grid(padding=(0, 2))
    for trial in progress.running:
        epoch = epochs_done(trial.record)
        table.add_row(
            trial_name(trial.record.identity),
            ProgressBar(total=trial.epochs, completed=epoch, width=_BAR_WIDTH // 2),
            f"epoch {epoch}/{trial.epochs}",
            *(Text(label_and_number(name, value)) for name, value in trial.newest.items()),
        )
    return table
