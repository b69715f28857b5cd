"""`balpoe export`."""

from __future__ import annotations

import click

from balpoe.cli.options import runs_option


@click.command()
@click.argument("study")
@click.option("--top", default=1, show_default=True, help="Number of configurations.")
@click.option(
    "--prefer",
    metavar="EXPRESSION",
    help='Order by an expression of metrics, the highest first: "val/accuracy - 0.5*val/ece" '
    "[default: val/accuracy, ties by val/ece].",
)
@runs_option
def export(study: str, top: int, prefer: str | None, runs: str) -> None:
    """Write the best configurations of STUDY as files for `balpoe train`."""
    from balpoe.launch.export import export as export_study

    report = export_study(study, top=top, prefer=prefer, runs=runs)
    for written in report.exports:
        click.echo(f"rank {written.evidence.rank}: trial {written.evidence.trial}  {written.path}")
    if report.front < report.asked:
        click.echo(f"asked for {report.asked}; the Pareto front has {report.front}")
    for path in report.earlier:
        click.echo(f"left from an earlier export: {path}")
    best = report.exports[0]
    seeds = ",".join(map(str, best.evidence.final_seeds))
    click.echo(f"Next:  balpoe train {best.path} --seeds {seeds}")
