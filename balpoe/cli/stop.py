"""`balpoe stop`."""

from __future__ import annotations

import sys

import click

from balpoe.cli.options import runs_option


@click.command()
@click.argument("study")
@click.option(
    "--address", help="Of a cluster's dashboard, http://HEAD:8265: where it was submitted to."
)
@runs_option
def stop(study: str, address: str | None, runs: str) -> None:
    """Stop STUDY gently from elsewhere on this host, as Ctrl-C would, and wait for it."""
    if address is not None:
        sys.exit(_stop_submitted(study, address))
    from balpoe.launch.stop import ask_to_stop, wait_until_stopped

    holder = ask_to_stop(study, runs=runs)
    if holder is None:
        click.echo(f"{study} is not being run")
        return
    click.echo(f"asked {holder} to stop; its running trials finish their epoch")
    wait_until_stopped(study, holder, runs=runs)
    click.echo(f"{study} has stopped; `balpoe run` with its file continues it")


def _stop_submitted(study: str, address: str) -> int:
    """Ray's own way to stop a job would kill the study within three seconds."""
    from balpoe.launch.submit import ask_on_head, submitted

    return ask_on_head(
        submitted(study, address), "stop", write=lambda text: click.echo(text, nl=False)
    )
