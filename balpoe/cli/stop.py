"""`balpoe stop`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from balpoe.cli.options import dashboard_option, runs_option

if TYPE_CHECKING:
    from balpoe.study.storage.lease import LeaseHolder


@click.command()
@click.argument("study")
@click.option(
    "--trial",
    type=click.IntRange(min=0),
    help="Stop this trial alone: it ends as pruned after its running epoch and keeps a checkpoint.",
)
@dashboard_option
@runs_option
def stop(study: str, trial: int | None, address: str | None, runs: str) -> None:
    """Stop STUDY after its running epochs, as Ctrl-C does, and wait until it has stopped."""
    options = [] if trial is None else ["--trial", str(trial)]
    if address is not None:
        from balpoe.cli.submit import write_output
        from balpoe.launch.submit import find_submission

        # not Ray's way to stop a job, which kills the study within three seconds
        submission = find_submission(study, address)
        sys.exit(submission.run_on_head("stop", *options, write=write_output))
    if trial is not None:
        from balpoe.launch.steer import stop_trial

        click.echo(stop_trial(study, trial, runs=runs))
        return
    from balpoe.launch.stop import stop as stop_study

    def on_request(driver: LeaseHolder) -> None:
        click.echo(f"asked {driver} to stop; its running trials finish their epoch")

    if stop_study(study, runs=runs, on_request=on_request) is None:
        click.echo(f"{study} is not being run")
    else:
        click.echo(f"{study} has stopped; `balpoe run` with its file continues it")
