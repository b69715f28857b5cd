"""`balpoe doctor`."""

from __future__ import annotations

import sys

import click

from balpoe.cli.options import runs_option

_MAX_LINES = 10


@click.command()
@click.argument("study")
@runs_option
def doctor(study: str, runs: str) -> None:
    """Check that Optuna, files, MLflow and exports of STUDY agree.

    The exit status is 1 if there is a fault.
    """
    from balpoe.launch.doctor import doctor as run_checks

    checks = run_checks(study, runs=runs)
    for check in checks:
        click.echo(f"{'fault' if check.faults else 'ok   '}  {check.name}")
        for line in check.faults[:_MAX_LINES]:
            click.echo(f"         {line}")
        more = len(check.faults) - _MAX_LINES
        if more > 0:
            click.echo(f"         and {more} more")
        if check.faults:
            click.echo(f"         hint: {check.hint}")
    sys.exit(any(check.faults for check in checks))
