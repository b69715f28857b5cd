"""`balpoe run`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

if TYPE_CHECKING:
    from balpoe.launch.studies import StudyOutcome

NOTHING_COMPLETE, SIGNALLED = 1, 128


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
def run(study: Path) -> None:
    """Start the study in the file STUDY, or continue it."""
    from balpoe.launch.studies import run as run_study
    from balpoe.reporting import StudyDisplay, front_report

    console = Console()
    outcome = run_study(
        study, watch=lambda spec, earlier: StudyDisplay(spec, console, earlier=earlier)
    )
    if outcome.was_finished:
        console.print(f"{outcome.spec.name} is finished: there is nothing left to run.\n")
    if outcome.stopped_by is None:
        exports = Path(os.path.relpath(outcome.directory.exports))
        console.print(front_report(outcome.spec, outcome.front, outcome.records, exports=exports))
    else:
        console.print(f"stopped; continue with: balpoe run {study}", soft_wrap=True)
    if outcome.mirror.error is not None:
        click.echo(
            f"warning: MLflow lacks {outcome.mirror.missed} trials ({outcome.mirror.error}); "
            f"the next launch writes them",
            err=True,
        )
    sys.exit(_status(outcome))


def _status(outcome: StudyOutcome) -> int:
    if outcome.stopped_by is not None:
        return SIGNALLED + outcome.stopped_by
    return 0 if outcome.front else NOTHING_COMPLETE
