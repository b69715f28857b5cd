"""`balpoe doctor`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from balpoe.cli.options import runs_option

_SHOWN = 10


@click.command()
@click.argument("study")
@runs_option
def doctor(study: str, runs: str) -> None:
    """Check that STUDY is whole: Optuna, files, MLflow and exports agree.

    Ends with status 1 where something is at fault.
    """
    from balpoe.launch.doctor import doctor as examine

    checks = examine(study, runs=runs)
    for check in checks:
        click.echo(f"{'fault' if check.faults else 'ok   '}  {check.name}")
        for line in _shortened(check.faults):
            click.echo(f"         {line}")
        if check.faults:
            click.echo(f"         cure: {check.cure}")
    sys.exit(any(check.faults for check in checks))


def _shortened(faults: Sequence[str]) -> list[str]:
    more = len(faults) - _SHOWN
    return [*faults[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
