"""`balpoe status`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
from rich.console import Console

from balpoe.cli.runs_option import runs_option


@click.command()
@click.argument("study")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@runs_option
def status(study: str, as_json: bool, runs: str) -> None:
    """Show how STUDY stands, also while it runs."""
    from balpoe.launch.status import status as status_of
    from balpoe.reporting.study_status import status_plain, status_report

    found = status_of(study, runs=runs)
    if as_json:
        driver = asdict(found.driver) if found.driver else None
        plain = status_plain(
            found.spec,
            found.trials,
            spent=found.spent,
            repeats_left=found.repeats_left,
            pairs=found.pairs,
            driver=driver,
            now=found.now,
        )
        click.echo(json.dumps(plain, indent=1, allow_nan=False))
        return
    told = str(found.driver) if found.driver else None
    report = status_report(
        found.spec,
        found.trials,
        spent=found.spent,
        repeats_left=found.repeats_left,
        pairs=found.pairs,
        driver=told,
        now=found.now,
    )
    Console().print(report)
