"""`balpoe submit`, and how a submitted launch is followed."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from balpoe.exit_status import SIGNALLED

if TYPE_CHECKING:
    from balpoe.launch.submit import Submission


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--address", required=True, help="Ray's dashboard on the head: http://HEAD:8265.")
@click.option(
    "--runs",
    metavar="DIR",
    help="Directory of the studies, on storage that all nodes share, or s3://BUCKET/PREFIX "
    "[default: BALPOE_RUNS of the head].",
)
@click.option(
    "--storage",
    metavar="URL",
    help="PostgreSQL database of the trials, postgresql://USER@HOST/DATABASE, as the cluster "
    "reaches it; its password is the head's [default: BALPOE_STORAGE of the head].",
)
@click.option("--tracking-uri", help="MLflow server, as the cluster reaches it.")
@click.option("--detach", is_flag=True, help="Do not follow the study.")
def submit(
    study: Path,
    address: str,
    runs: str | None,
    storage: str | None,
    tracking_uri: str | None,
    detach: bool,
) -> None:
    """Start or continue the study in the file STUDY on a cluster's head, and follow it.

    The exit status is that of the study.
    """
    from balpoe.launch.submit import submit as submit_study

    submission = submit_study(study, address, runs=runs, storage=storage, tracking_uri=tracking_uri)
    click.echo(f"submitted {submission.name} to {address}")
    if detach:
        click.echo(_ways_on(submission))
    else:
        sys.exit(followed(submission))


def followed(submission: Submission) -> int:
    """Show what a launch prints until it ends, or until the user has seen enough."""
    try:
        return submission.follow(lambda text: click.echo(text, nl=False))
    except KeyboardInterrupt:
        click.echo(f"\n{submission.study} goes on without you\n{_ways_on(submission)}", err=True)
        return SIGNALLED + signal.SIGINT


def _ways_on(submission: Submission) -> str:
    given = f"{submission.study} --address {submission.address}"
    return f"follow:  balpoe status {given} --follow\nstop:    balpoe stop {given}"
