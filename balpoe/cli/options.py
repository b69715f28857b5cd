"""The option `--runs` of every verb that looks into the studies and models that were made."""

from __future__ import annotations

import click

from balpoe.launch import RUNS

runs_option = click.option(
    "--runs",
    metavar="DIR",
    envvar="BALPOE_RUNS",
    show_envvar=True,
    default=str(RUNS),
    show_default=True,
    help="Where studies and models are kept: a directory; studies also s3://BUCKET/PREFIX.",
)
