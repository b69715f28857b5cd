"""`balpoe stop`."""

from __future__ import annotations

import click

from balpoe.cli.runs_option import runs_option


@click.command()
@click.argument("study")
@runs_option
def stop(study: str, runs: str) -> None:
    """Stop STUDY gently from elsewhere on this host, as Ctrl-C would, and wait for it."""
    from balpoe.launch.stopping import ask_to_stop, wait_until_stopped

    holder = ask_to_stop(study, runs=runs)
    if holder is None:
        click.echo(f"{study} is not being run")
        return
    click.echo(f"asked {holder} to stop; its running trials finish their epoch")
    wait_until_stopped(study, holder, runs=runs)
    click.echo(f"{study} has stopped; `balpoe run` with its file continues it")
