"""`balpoe ui`."""

from __future__ import annotations

import sys
from contextlib import suppress

import click

from balpoe.cli.options import runs_option
from balpoe.launch import UI_PORT
from balpoe.study.execution.interruption import exit_at_sigterm


@click.command()
@click.option("--port", default=UI_PORT, show_default=True, help="Port of the server.")
@runs_option
def ui(port: int, runs: str) -> None:
    """Serve MLflow's pages of the studies in the directory of --runs, until Ctrl-C."""
    from balpoe.launch.ui import trial_pages
    from balpoe.launch.ui import ui as serve

    with (
        suppress(KeyboardInterrupt),
        exit_at_sigterm(),
        serve(port=port, runs=runs) as server,
    ):
        click.echo(f"MLflow  {server.url}  (Ctrl-C ends it)")
        for study, page in trial_pages(server, runs=runs).items():
            click.echo(f"trials of {study}, the best first:\n  {page}")
        server.wait()
        click.echo("error: the MLflow server has ended unexpectedly", err=True)
        sys.exit(1)
