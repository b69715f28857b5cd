"""The option `--runs` of every verb that looks into the studies and models that were made."""

from __future__ import annotations

import click

from balpoe.errors import UserError
from balpoe.launch import RUNS


def _directory(context: click.Context, option: click.Parameter, value: str) -> str:
    if "://" in value:
        raise UserError(
            f"--runs: must be a directory, got {value!r}; hosts that share studies mount one file "
            f"system under the same path"
        )
    return value


runs_option = click.option(
    "--runs",
    metavar="DIR",
    callback=_directory,
    envvar="BALPOE_RUNS",
    show_envvar=True,
    default=str(RUNS),
    show_default=True,
    help="Where studies and models are kept.",
)
