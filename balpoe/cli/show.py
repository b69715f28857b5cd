"""`balpoe show`."""

from __future__ import annotations

import click
from rich.console import Console

from balpoe.cli.options import runs_option


@click.command()
@click.argument("study")
@click.argument("trial", required=False, type=click.IntRange(min=0))
@runs_option
def show(study: str, trial: int | None, runs: str) -> None:
    """Draw the front of STUDY, or the reliability and the classes of its trial TRIAL.

    The figures are drawn in the terminal; `balpoe report` writes a page with all figures.
    """
    from balpoe.launch.show import viewed_study, viewed_trial
    from balpoe.reporting.study_view import study_view, trial_view

    console = Console()
    if trial is None:
        console.print(study_view(viewed_study(study, runs=runs), console.width))
    else:
        console.print(trial_view(viewed_trial(study, trial, runs=runs), console.width))
