"""`balpoe sync`."""

from __future__ import annotations

import click

from balpoe.cli.options import runs_option


@click.command()
@click.argument("study")
@click.option(
    "--tracking-uri", help="Another MLflow server or database, which is saved with the study."
)
@runs_option
def sync(study: str, tracking_uri: str | None, runs: str) -> None:
    """Rebuild or complete MLflow's mirror of STUDY from the files of STUDY."""
    from balpoe.launch.sync import sync as sync_study

    report = sync_study(study, runs=runs, tracking_uri=tracking_uri)
    click.echo(f"{study}: {report.runs} trials are in {report.tracking_uri}")
