"""`balpoe try`."""

from __future__ import annotations

import sys

import click

from balpoe.cli.options import dashboard_option, runs_option


@click.command("try")
@click.argument("study")
@click.argument("assignments", metavar="KEY=VALUE...", nargs=-1, required=True)
@dashboard_option
@runs_option
def try_point(study: str, assignments: tuple[str, ...], address: str | None, runs: str) -> None:
    """Try a point next in STUDY, such as mixup.alpha=0.2 experts.count=3.

    The trial counts in the budget. Fields that are not given keep the value of the study file.
    """
    if address is not None:
        from balpoe.cli.submit import write_output
        from balpoe.launch.submit import find_submission

        submission = find_submission(study, address)
        sys.exit(submission.run_on_head("try", *assignments, write=write_output))
    from balpoe.launch.steer import try_point as try_in_study

    click.echo(try_in_study(study, assignments, runs=runs))
