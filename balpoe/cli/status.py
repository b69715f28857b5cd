"""`balpoe status`."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console

from balpoe.cli.options import runs_option


@click.command()
@click.argument("study")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option(
    "--address", help="Of a cluster's dashboard, http://HEAD:8265: where it was submitted to."
)
@click.option(
    "--follow", is_flag=True, help="Show all that it prints until it ends; with --address."
)
@runs_option
def status(study: str, as_json: bool, address: str | None, follow: bool, runs: str) -> None:
    """Show how STUDY stands, also while it runs."""
    if address is not None:
        sys.exit(_submitted_status(study, address, as_json=as_json, follow=follow))
    if follow:
        raise click.UsageError("--follow needs --address: where the study was submitted to")
    from balpoe.launch.status import status as status_of
    from balpoe.reporting.study_status import status_plain, status_report

    found = status_of(study, runs=runs)
    if as_json:
        click.echo(json.dumps(status_plain(found), indent=1, allow_nan=False))
    else:
        Console().print(status_report(found))


def _submitted_status(study: str, address: str, *, as_json: bool, follow: bool) -> int:
    from balpoe.cli.submit import followed
    from balpoe.launch.submit import ask_on_head, submitted

    submission = submitted(study, address)
    if follow:
        return followed(submission)
    options = ["--json"] if as_json else []
    return ask_on_head(
        submission, "status", *options, write=lambda text: click.echo(text, nl=False)
    )
