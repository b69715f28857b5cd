"""`balpoe run`."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from balpoe.cli.options import runs_option
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


@dataclass(frozen=True, slots=True)
class Places:
    """Where a study is kept, shown, stored and run, as the options of these names say."""

    runs: str
    tracking_uri: str | None
    storage: str | None
    address: str


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--tracking-uri",
    help="MLflow server or database, kept with the study "
    "[default: MLFLOW_TRACKING_URI, else mlflow.db in the directory of --runs].",
)
@click.option(
    "--storage",
    metavar="URL",
    help="PostgreSQL database of the trials, postgresql://USER@HOST/DATABASE, kept with the study; "
    "its password by BALPOE_STORAGE, PGPASSWORD or ~/.pgpass "
    "[default: BALPOE_STORAGE, else SQLite, for one host].",
)
@click.option(
    "--address",
    default=LOCAL,
    show_default=True,
    help="Ray cluster to run on: HOST:PORT of its head, or auto for the one of this host.",
)
@click.option("--json", "as_json", is_flag=True, help="Print every event as a line of JSON.")
@runs_option
def run(
    study: Path,
    tracking_uri: str | None,
    storage: str | None,
    address: str,
    as_json: bool,
    runs: str,
) -> None:
    """Start the study in the file STUDY, or continue it."""
    if not is_supervised():
        sys.exit(supervise_this_command())
    with supervised():
        places = Places(runs, tracking_uri, storage, address)
        sys.exit(_status(_run(study, places, as_json)))


def _run(study: Path, places: Places, as_json: bool) -> StudyOutcome:
    from balpoe.launch.run import run as run_study
    from balpoe.reporting.json_events import event_lines, outcome_line
    from balpoe.reporting.study_display import StudyDisplay

    console = Console()
    outcome = run_study(
        study,
        runs=places.runs,
        tracking_uri=places.tracking_uri,
        storage=places.storage,
        address=places.address,
        command=continuation(),
        watch=lambda spec, earlier, launches: (
            event_lines(spec, earlier, write=_write_line)
            if as_json
            else StudyDisplay(spec, console, earlier=earlier, launches=launches)
        ),
    )
    reason = _reason(outcome)
    if as_json:
        status = _status(outcome)
        spec, front, records = outcome.spec, outcome.front, outcome.records
        _write_line(outcome_line(spec, front, records, status=status, reason=reason))
    else:
        _show(outcome, reason, console)
    if outcome.mirror.error is not None:
        click.echo(
            f"warning: MLflow lacks {outcome.mirror.missed} trials ({outcome.mirror.error}); "
            f"the next launch or `balpoe sync {outcome.spec.name}` writes them",
            err=True,
        )
    return outcome


def _write_line(line: str) -> None:
    click.echo(line)  # which flushes: whoever reads a pipe sees an event as it happens


def _reason(outcome: StudyOutcome) -> str | None:
    """Why the launch ended early; None where the budget is spent."""
    if outcome.end.signal is not None:
        return f"stopped; continue with: {continuation()}"
    if outcome.end.failing_alike is not None:
        return (
            f"stopped, because the first trials all failed alike "
            f"({outcome.end.failing_alike.kind}): {outcome.end.failing_alike.reason}; "
            f"once that is mended, continue with: {continuation()}"
        )
    return None


def _show(outcome: StudyOutcome, reason: str | None, console: Console) -> None:
    from balpoe.reporting.front_table import front_report

    if outcome.was_finished:
        console.print(f"{outcome.spec.name} is finished: there is nothing left to run.\n")
    if reason is None:
        exports = Path(os.path.relpath(outcome.directory.exports))
        if exports.parts[0] == os.pardir:  # of no use where the user is not, on a cluster's head
            exports = outcome.directory.exports
        console.print(front_report(outcome.spec, outcome.front, outcome.records, exports=exports))
    elif outcome.end.signal is not None:
        console.print(reason, soft_wrap=True)
    else:
        click.echo(f"error: {reason}", err=True)


def _status(outcome: StudyOutcome) -> int:
    if outcome.end.signal is not None:
        return SIGNALLED + outcome.end.signal
    stalled = outcome.end.failing_alike is not None
    return NOTHING_COMPLETE if stalled or not outcome.front else 0
