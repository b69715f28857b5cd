"""`balpoe submit`, and following a submitted launch."""

from __future__ import annotations

import signal
import sys
from functools import partial
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
    help="PostgreSQL database of the trials, postgresql://USER@HOST/DATABASE, as seen from the "
    "cluster; its password is set on the head [default: BALPOE_STORAGE of the head].",
)
@click.option("--tracking-uri", help="MLflow server, as seen from the cluster.")
@click.option("--detach", is_flag=True, help="Do not follow the study.")
def submit(
    study: Path,
    address: str,
    runs: str | None,
    storage: str | None,
    tracking_uri: str | None,
    detach: bool,
) -> None:
    """Start or continue the study file STUDY on the head of a cluster, and follow it.

    The exit status is that of the study.
    """
    from balpoe.launch.submit import submit as submit_study

    submission = submit_study(study, address, runs=runs, storage=storage, tracking_uri=tracking_uri)
    click.echo(f"submitted {submission.name} to {address}")
    if detach:
        click.echo(_next_commands(submission))
    else:
        sys.exit(follow_output(submission))


write_output = partial(click.echo, nl=False)
"""Writes output of the cluster as it is."""


def follow_output(submission: Submission) -> int:
    """Show the output of a launch until it ends or Ctrl-C; return the exit status."""
    try:
        return submission.follow(write_output)
    except KeyboardInterrupt:
        click.echo(f"\n{submission.study} keeps running\n{_next_commands(submission)}", err=True)
        return SIGNALLED + signal.SIGINT


def _next_commands(submission: Submission) -> str:
    study = f"{submission.study} --address {submission.address}"
    return f"follow:  balpoe status {study} --follow\nstop:    balpoe stop {study}"
