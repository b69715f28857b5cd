"""`balpoe status`."""

from __future__ import annotations

import json
import signal
import sys

import click
from rich.console import Console

from balpoe.cli.options import dashboard_option, json_option, runs_option
from balpoe.exit_status import SIGNALLED


@click.command()
@click.argument("study")
@json_option("Print JSON.")
@dashboard_option
@click.option(
    "--follow",
    is_flag=True,
    help="Show the study until it ends; with --address, the output of its driver.",
)
@runs_option
def status(study: str, as_json: bool, address: str | None, follow: bool, runs: str) -> None:
    """Show the state of STUDY, which may be running."""
    if address is not None:
        sys.exit(_status_on_cluster(study, address, as_json=as_json, follow=follow))
    if follow:
        try:
            _follow(study, runs, as_json=as_json)
        except KeyboardInterrupt:  # the study keeps running
            sys.exit(SIGNALLED + signal.SIGINT)
        return
    from balpoe.launch.status import status as status_of
    from balpoe.reporting.study_status import status_plain, status_report

    found = status_of(study, runs=runs)
    if as_json:
        click.echo(json.dumps(status_plain(found), indent=1, allow_nan=False))
    else:
        Console().print(status_report(found))


def _follow(study: str, runs: str, *, as_json: bool) -> None:
    """Show the study until no driver runs it: on a terminal as a whole, else line by line."""
    from rich.live import Live

    from balpoe.launch.status import follow_status
    from balpoe.reporting.study_status import status_changes, status_plain, status_report

    console = Console()
    statuses = follow_status(study, runs=runs)
    if as_json:
        for found in statuses:
            click.echo(json.dumps(status_plain(found), allow_nan=False))
        return
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            for found in statuses:
                live.update(status_report(found), refresh=True)
        return
    before = None
    for found in statuses:
        for line in status_changes(before, found):
            click.echo(line)
        before = found
    if before is not None:
        console.print(status_report(before))


def _status_on_cluster(study: str, address: str, *, as_json: bool, follow: bool) -> int:
    from balpoe.cli.submit import follow_output, write_output
    from balpoe.launch.submit import find_submission

    submission = find_submission(study, address)
    if follow:
        return follow_output(submission)
    options = ["--json"] if as_json else []
    return submission.run_on_head("status", *options, write=write_output)
