"""`balpoe run`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from balpoe.cli.options import json_option, runs_option
from balpoe.cluster.address import LOCAL
from balpoe.exit_status import NOTHING_COMPLETE, SIGNALLED
from balpoe.launch.supervision import (
    continuation,
    is_supervised,
    supervise_this_command,
    supervised,
)

if TYPE_CHECKING:
    from balpoe.launch.run import StudyOutcome

_MOST_DETAILS = 12  # trials whose figures are drawn at the end of a study, some of them a second


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--tracking-uri",
    help="MLflow server or database, saved with the study "
    "[default: MLFLOW_TRACKING_URI, else mlflow.db in the directory of --runs].",
)
@click.option(
    "--storage",
    metavar="URL",
    help="PostgreSQL database of the trials, postgresql://USER@HOST/DATABASE, saved with the "
    "study; its password is read from BALPOE_STORAGE, PGPASSWORD or ~/.pgpass "
    "[default: BALPOE_STORAGE, else SQLite, for one host].",
)
@click.option(
    "--address",
    default=LOCAL,
    show_default=True,
    help="Ray cluster: HOST:PORT of its head, or auto for the cluster of this host.",
)
@json_option("Print each event as a line of JSON.")
@runs_option
def run(study: Path, as_json: bool, **options: Any) -> None:
    """Start or continue the study file STUDY."""
    if not is_supervised():
        sys.exit(supervise_this_command())
    with supervised():
        sys.exit(_exit_status(_run(study, as_json=as_json, **options)))


def _run(study: Path, *, as_json: bool, **options: Any) -> StudyOutcome:
    from balpoe.launch.run import run as run_study
    from balpoe.reporting.json_events import event_lines, outcome_line
    from balpoe.reporting.study_display import StudyDisplay

    console = Console()
    outcome = run_study(
        study,
        **options,
        command=continuation(),
        watch=lambda spec, earlier, launches: (
            event_lines(spec, earlier, write=click.echo)  # which flushes each line into a pipe
            if as_json
            else StudyDisplay(spec, console, earlier=earlier, launches=launches)
        ),
    )
    reason = _early_end(outcome)
    if as_json:
        status = _exit_status(outcome)
        spec, front, records = outcome.spec, outcome.front, outcome.records
        click.echo(outcome_line(spec, front, records, status=status, reason=reason))
    else:
        _show(outcome, reason, console)
    if outcome.mirror.error is not None:
        click.echo(
            f"warning: MLflow lacks {outcome.mirror.missed} trials ({outcome.mirror.error}); "
            f"the next launch or `balpoe sync {outcome.spec.name}` writes them",
            err=True,
        )
    elif outcome.end.signal is None and outcome.records:
        log_figures(outcome)
    return outcome


def log_figures(outcome: StudyOutcome) -> None:
    """Log the page of a study, its figures and those of trials to MLflow; a failure is a warning.

    The figures of trials are those of the front and of the known points.
    """
    from balpoe.launch.report import log_report

    study, runs = outcome.spec.name, outcome.directory.path.parent
    try:
        lacking = log_report(study, runs=runs, details=_MOST_DETAILS)
    except (Exception, KeyboardInterrupt) as error:  # the study is complete and stored
        reason = " ".join(str(error).split()) or type(error).__name__
        click.echo(
            f"warning: MLflow lacks figures of the study: {reason}; "
            f"`balpoe report {study} --log` logs them",
            err=True,
        )
        return
    if lacking:
        click.echo(
            f"warning: the figures of {lacking} trials are left out, which take longer; "
            f"`balpoe report {study} --log` draws and logs them",
            err=True,
        )


def _early_end(outcome: StudyOutcome) -> str | None:
    """Return why the launch ended before the budget was spent, or None."""
    if outcome.end.signal is not None:
        return f"stopped; continue with: {continuation()}"
    if outcome.end.failing_alike is not None:
        return (
            f"stopped, because the first trials all failed alike "
            f"({outcome.end.failing_alike.kind}): {outcome.end.failing_alike.reason}; "
            f"after fixing this, continue with: {continuation()}"
        )
    return None


def _show(outcome: StudyOutcome, reason: str | None, console: Console) -> None:
    from balpoe.reporting.front_table import front_report
    from balpoe.study.records.trial_summaries import stored_floors
    from balpoe.study.search.planned_trials import tried_points
    from balpoe.training.predictions_file import label_counts

    if outcome.was_finished:
        console.print(Text(f"{outcome.spec.name} is finished: there is nothing left to run.\n"))
    if reason is None:
        exports = Path(os.path.relpath(outcome.directory.exports))
        if exports.parts[0] == os.pardir:  # of no use to a user on another host than this head
            exports = outcome.directory.exports
        counts = None
        if outcome.front:
            trial = outcome.directory.trial(outcome.front[0].identity)
            counts = label_counts(trial.predictions)
        points = tried_points(outcome.spec, outcome.records).values()
        floors = stored_floors(outcome.directory, (*outcome.front, *points))
        console.print(
            front_report(
                outcome.spec,
                outcome.front,
                outcome.records,
                exports=exports,
                validation_counts=counts,
                floors=floors,
            )
        )
    elif outcome.end.signal is not None:
        console.print(Text(reason), soft_wrap=True)
    else:
        click.echo(f"error: {reason}", err=True)


def _exit_status(outcome: StudyOutcome) -> int:
    if outcome.end.signal is not None:
        return SIGNALLED + outcome.end.signal
    failing = outcome.end.failing_alike is not None
    return NOTHING_COMPLETE if failing or not outcome.front else 0
