"""`balpoe clean`."""

from __future__ import annotations

import click

from balpoe.cli.options import runs_option


@click.command()
@click.argument("study")
@click.option(
    "--keep",
    type=click.Choice(["front"]),
    required=True,
    help="The trials that keep all they have: those on the Pareto front.",
)
@click.option("--delete", is_flag=True, help="Delete; without it nothing is touched.")
@runs_option
def clean(study: str, keep: str, delete: bool, runs: str) -> None:
    """Show the checkpoints and predictions that STUDY can do without, or delete them.

    Parameters, objectives and curves of all trials stay, and so does everything of a trial that
    is still to be finished.
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
        click.echo(f"Next:  balpoe clean {study} --keep {keep} --delete")
