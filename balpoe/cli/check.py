"""`balpoe check`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from balpoe.cli.options import runs_option
from balpoe.exit_status import USER_ERROR


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@runs_option
def check(study: Path, runs: str) -> None:
    """Show the settings, time and disk space of the study file STUDY, and possible problems."""
    from balpoe.launch.check import check as check_study
    from balpoe.reporting.study_cost import cost_lines

    report = check_study(study, runs=runs)
    click.echo(report.resolved)
    if report.cost is not None:
        for line in cost_lines(report.spec, report.cost, free_bytes=report.free_bytes):
            click.echo(line)
    for weighting in report.weightings:
        click.echo(weighting)
    for floor in report.floors:
        click.echo(f"{floor.objective:15} {floor}")
    for event in report.warm_start:
        click.echo(str(event))
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    for problem in report.problems:
        click.echo(f"error: {problem}", err=True)
    if report.problems:
        sys.exit(USER_ERROR)
