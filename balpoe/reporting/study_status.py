"""How a study stands, for people and for programs, worked out from the records of its trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from balpoe.config import BudgetConfig, StudySpec
from balpoe.reporting.formatting import duration, label, number_with_unit, parameter_value
from balpoe.reporting.study_panel import counts, trial_name
from balpoe.reporting.study_progress import StudyProgress, study_progress
from balpoe.reporting.table_style import add_number_column, plain_table
from balpoe.study.search.completion import search_is_over
from balpoe.study.search.spent_budget import SpentBudget
from balpoe.study.selection.comparison import Verdict
from balpoe.study.trials.record import TrialRecord

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def status_report(
    spec: StudySpec,
    records: Sequence[TrialRecord],
    *,
    spent: SpentBudget,
    repeats_left: int,
    pairs: Mapping[Verdict, int],
    driver: DataclassInstance | None,
    now: float,
) -> RenderableType:
    """Trials by state, the best of each objective and what is running.

    Args:
        spec: The study.
        records: Its trials; RUNNING ones with the epochs that are on disk.
        spent: What it has spent of its budget.
        repeats_left: Further seeds that the present round of its race still lacks.
        pairs: How many pairs of the front are separable.
        driver: Who runs the study; None: nobody.
        now: Unix seconds.
    """
    progress = study_progress(spec, records, launches=[now], now=now)
    parts: list[RenderableType] = [
        Text(f"{spec.name}: {_so_far(progress)}"),
        *(Text(line) for line in _hours(spec.budget, spent)),
        Text(counts(progress), style="dim"),
        *(
            Text(f"best {label(name)} {number_with_unit(name, best.value)}, trial {best.number}")
            for name, best in progress.best.items()
        ),
        *([Text(f"further seeds to train in this round: {repeats_left}")] if repeats_left else []),
        *([Text(f"pairs of the front: {_pairs(pairs)}")] if _is_tested(pairs) else []),
        Text(f"run by {driver}" if driver else _idle(spec, records, spent, repeats_left)),
    ]
    if progress.running:
        parts += [Text(), _running_table(spec, records, progress, now)]
    return Group(*parts)


def status_plain(
    spec: StudySpec,
    records: Sequence[TrialRecord],
    *,
    spent: SpentBudget,
    repeats_left: int,
    pairs: Mapping[Verdict, int],
    driver: DataclassInstance | None,
    now: float,
) -> dict[str, Any]:
    """The same as plain data; times in Unix seconds."""
    progress = study_progress(spec, records, launches=[now], now=now)
    return {
        "study": spec.name,
        "time": now,
        "budget": asdict(spec.budget),
        "left": {
            "trials": progress.left,
            "wall_hours": _left(spec.budget.wall_hours, spent.wall_seconds),
            "device_hours": _left(spec.budget.device_hours, spent.device_seconds),
            "repeats": repeats_left,
        },
        "pairs": dict(pairs),
        "trials": {
            "RUNNING": sum(trial.repeat == 0 for trial in progress.running),
            "COMPLETE": progress.complete,
            "PRUNED": progress.pruned,
            "FAIL": progress.failed,
        },
        "infeasible": progress.infeasible,
        "best": {
            name: {"value": best.value, "trial": best.number}
            for name, best in progress.best.items()
        },
        "running": [
            {
                "trial": record.identity.number,
                "repeat": record.identity.repeat,
                "attempt": record.identity.attempt,
                "epoch": trial.epoch,
                "epochs": trial.epochs,
                "started": record.started,
                "last_epoch_ended": _last_epoch_ended(record),
                "parameters": dict(record.parameters),
            }
            for record, trial in zip(_running(records), progress.running, strict=True)
        ],
        "driver": asdict(driver) if driver else None,
    }


def _running_table(
    spec: StudySpec, records: Sequence[TrialRecord], progress: StudyProgress, now: float
) -> Table:
    table = plain_table("Running", "epochs as they are on disk: written every minute")
    table.add_column("trial", justify="right", style="bold")
    for head in ("epoch", "age", "last epoch"):
        table.add_column(head, justify="right")
    for path in spec.search:
        add_number_column(table, path.replace(".", " "))
    for record, trial in zip(_running(records), progress.running, strict=True):
        ended = _last_epoch_ended(record)
        table.add_row(
            trial_name(trial.number, trial.repeat).removeprefix("trial "),
            f"{trial.epoch}/{trial.epochs}",
            _age(record.started, now),
            "–" if ended is None else f"{_age(ended, now)} ago",
            *(parameter_value(record.parameters.get(path)) for path in spec.search),
        )
    return table


def _age(moment: float, now: float) -> str:
    """Nothing is from the future: the clock of whoever looks may be behind the driver's."""
    return duration(max(0.0, now - moment))


def _running(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [record for record in records if record.state == "RUNNING"]


def _so_far(progress: StudyProgress) -> str:
    if progress.trials is None:
        return f"{progress.finished} trials have ended"
    return f"{progress.finished} of {progress.trials} trials have ended, {progress.left} left"


def _hours(budget: BudgetConfig, spent: SpentBudget) -> Iterator[str]:
    """A line for each budget in hours: `1:20:00 of 2 wall hours spent`."""
    if budget.wall_hours is not None:
        yield f"{duration(spent.wall_seconds)} of {budget.wall_hours:g} wall hours spent"
    if budget.device_hours is not None:
        yield f"{duration(spent.device_seconds)} of {budget.device_hours:g} device hours spent"


def _is_tested(pairs: Mapping[Verdict, int]) -> bool:
    return any(pairs[verdict] for verdict in ("separable", "not separable"))


def _pairs(pairs: Mapping[Verdict, int]) -> str:
    """`3 separable, 2 not separable`."""
    return ", ".join(f"{count} {verdict}" for verdict, count in pairs.items() if count)


def _left(hours: float | None, spent_seconds: float) -> float | None:
    return None if hours is None else max(0.0, hours - spent_seconds / 3600)


def _idle(
    spec: StudySpec, records: Sequence[TrialRecord], spent: SpentBudget, repeats_left: int
) -> str:
    if search_is_over(spec, records, spent) and not repeats_left:
        return "finished"
    return "run by nobody: `balpoe run` with its study file continues it"


def _last_epoch_ended(record: TrialRecord) -> float | None:
    return record.history[-1].unix_time if record.history else None
