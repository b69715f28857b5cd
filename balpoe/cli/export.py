"""`balpoe export`."""

from __future__ import annotations

import click


@click.command()
@click.argument("study")
@click.option("--top", default=1, show_default=True, help="How many configurations.")
def export(study: str, top: int) -> None:
    """Write the best configurations of STUDY as files for `balpoe train`."""
    from balpoe.launch.exports import export as export_study

    report = export_study(study, top=top)
    for written in report.exports:
        click.echo(f"rank {written.evidence.rank}: trial {written.evidence.trial}  {written.path}")
    if report.front < report.asked:
        click.echo(f"asked for {report.asked}; the Pareto front has {report.front}")
    for path in report.earlier:
        click.echo(f"left from an earlier export: {path}")
    click.echo(f"Next:  balpoe train {report.exports[0].path} --seeds 1,2,3")
