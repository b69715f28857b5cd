"""`balpoe export`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from balpoe.cli.options import runs_option

if TYPE_CHECKING:
    from balpoe.exporting.export import ExportReport


@click.command()
@click.argument("study")
@click.option("--top", default=1, show_default=True, help="Number of configurations.")
@click.option(
    "--prefer",
    metavar="EXPRESSION",
    help="Order by an expression of metrics, the highest first: "
    '"val/balanced_accuracy - 0.5*val/balanced_ece". Names with other characters than letters, '
    "digits, _ and / are given in quotes, and so are recalls of classes that are numbers: "
    "\"'val/class/Great Tit/recall' - 0.5*val/ece\" "
    "[default: val/balanced_accuracy, ties by val/balanced_ece].",
)
@click.option("--known-points", is_flag=True, help="Also write the known points of the study.")
@runs_option
def export(study: str, top: int, prefer: str | None, known_points: bool, runs: str) -> None:
    """Write the best configurations of STUDY as files for `balpoe train`."""
    from balpoe.launch.export import export as export_study

    report = export_study(study, top=top, prefer=prefer, known_points=known_points, runs=runs)
    for written in report.exports:
        click.echo(f"rank {written.evidence.rank}: trial {written.evidence.trial}  {written.path}")
    if report.front < report.asked:
        click.echo(f"asked for {report.asked}; the Pareto front has {report.front}")
    for name, written in report.known_points.items():
        click.echo(f"known point {name}: trial {written.evidence.trial}  {written.path}")
    for name, reason in report.left_out.items():
        click.echo(f"known point {name} is left out: {reason}")
    for path in report.earlier:
        click.echo(f"left from an earlier export: {path}")
    click.echo(f"Next:  balpoe train {_files(report)} --seeds {_seeds(report)}")


def _files(report: ExportReport) -> str:
    """Return the written files; as a pattern if there are several and no others."""
    paths = [written.path for written in report.written]
    if len(paths) > 1 and not report.earlier:
        return f"{shlex.quote(str(paths[0].parent))}/*.yaml"
    return shlex.join(map(str, paths))


def _seeds(report: ExportReport) -> str:
    return ",".join(map(str, report.exports[0].evidence.final_seeds))
