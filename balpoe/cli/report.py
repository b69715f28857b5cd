"""`balpoe report`."""

from __future__ import annotations

from pathlib import Path

import click

from balpoe.cli.options import runs_option


@click.command()
@click.argument("shown", metavar="STUDY|MODEL...", nargs=-1, required=True)
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
@click.option(
    "--log", is_flag=True, help="Log the page of a single STUDY, and its figures, to MLflow too."
)
@runs_option
def report(
    shown: tuple[str, ...], trials: tuple[int, ...], out: Path, log: bool, runs: str
) -> None:
    """Write a page with tables and figures of each STUDY and of each MODEL on the test set.

    A MODEL is the directory of a trained model, or of a training with several seeds; everything
    else is the name of a study. Several of a kind are shown side by side. The page is one HTML file
    that needs no network. The studies may be running.
    """
    from balpoe.launch.report import log_report
    from balpoe.launch.report import report as write_report

    if log and len(shown) > 1:
        raise click.UsageError("--log needs a single STUDY: a page belongs to the run of one study")
    if not log:
        _echo_page(write_report(shown, trials=trials, out=out, runs=runs))
        return
    log_report(shown[0], trials=trials, out=out, runs=runs, again=True, on_page=_echo_page)
    click.echo("logged  page and figures, in the runs of the study and its trials in MLflow")


def _echo_page(page: Path) -> None:
    click.echo(f"report  {page}")
