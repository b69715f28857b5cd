"""`balpoe clean`."""

from __future__ import annotations

import shlex

import click

from balpoe.cli.options import runs_option


@click.command()
@click.argument("study")
@click.option(
    "--keep",
    type=click.Choice(["front"]),
    required=True,
    help="Trials whose files are all kept: those on the Pareto front, and exported ones.",
)
@click.option("--delete", is_flag=True, help="Delete the files; by default they are only listed.")
@runs_option
def clean(study: str, keep: str, delete: bool, runs: str) -> None:
    """List or delete the checkpoints and predictions that STUDY does not need.

    Parameters, objectives and curves of all trials are kept, and so are all files of unfinished
    trials.
    """
    from balpoe.launch.clean import clean as clean_study
    from balpoe.reporting.formatting import byte_size

    report = clean_study(study, delete=delete, runs=runs)
    for item in report.items:
        repeat = f" repeat {item.identity.repeat}" if item.identity.repeat else ""
        click.echo(f"trial {item.identity.number}{repeat}: {byte_size(item.size_bytes)}")
    total = f"{byte_size(report.size_bytes)} of {len(report.items)} trainings off the front"
    if not report.items:
        click.echo("nothing to delete")
    elif report.deleted:
        click.echo(f"deleted: {total}")
    else:
        click.echo(f"could be deleted: {total}")
        click.echo(f"Next:  balpoe clean {shlex.quote(study)} --keep {keep} --delete")
