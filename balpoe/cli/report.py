"""`balpoe report`."""

from __future__ import annotations

from pathlib import Path

import click

from balpoe.cli.options import runs_option


@click.command()
@click.argument("studies", metavar="STUDY...", nargs=-1, required=True)
@click.option(
    "--trial",
    "trials",
    type=click.IntRange(min=0),
    multiple=True,
    help="Show this trial in detail too, beside the front and the known points; repeatable.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="File to write.",
)
@runs_option
def report(studies: tuple[str, ...], trials: tuple[int, ...], out: Path, runs: str) -> None:
    """Write a page with tables and figures of STUDY, or of several studies side by side.

    The page is one HTML file that needs no network. The studies may be running.
    """
    from balpoe.launch.report import report as write_report

    written = write_report(studies, trials=trials, out=out, runs=runs)
    click.echo(f"report  {written}")
