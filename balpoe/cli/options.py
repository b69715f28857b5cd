"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from balpoe.launch import RUNS

runs_option = click.option(
    "--runs",
    metavar="DIR",
    envvar="BALPOE_RUNS",
    show_envvar=True,
    default=str(RUNS),
    show_default=True,
    help="Directory of studies and models; of studies also s3://BUCKET/PREFIX.",
)
device_option = click.option(
    "--device", help="cpu, cuda or cuda:1 [default: a GPU if there is one]."
)
dashboard_option = click.option(
    "--address", help="Dashboard of the cluster that the study was submitted to, http://HEAD:8265."
)


def json_option(help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # noqa: A002
    """Return the option `--json`, which is passed to the command as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=help)
