"""`balpoe train`."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

import click
from rich.console import Console

from balpoe.cli.options import runs_option
from balpoe.cluster.address import LOCAL
from balpoe.errors import UserError
from balpoe.launch.supervision import is_supervised, supervise_this_command, supervised
from balpoe.study.execution.interruption import SEEDS_SAVE_SECONDS

LEAVING_SECONDS = 5.0
"""From the saved checkpoints of a cluster's seeds to the end of their driver."""


def parse_seeds(text: str) -> tuple[int, ...]:
    """`1,2,3` as numbers.

    Raises:
        UserError: the text is something else.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(f"--seeds: must be numbers such as 1,2,3, got {text!r}") from error


@click.command()
@click.argument("configuration", type=click.Path(path_type=Path))
@click.option("--seeds", default="0", show_default=True, help="Seeds, such as 1,2,3.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Directory of the models [default: models/NAME in the directory of --runs].",
)
@click.option("--device", help="cpu, cuda, cuda:1 [default: a GPU where there is one].")
@click.option(
    "--address",
    default=LOCAL,
    show_default=True,
    help="Ray cluster to train on, a seed beside the other: HOST:PORT of its head, or auto for the "
    "one of this host.",
)
@click.option(
    "--cpus", type=click.IntRange(min=1), default=1, show_default=True, help="Of a seed there."
)
@click.option(
    "--gpus",
    type=click.FloatRange(min=0),
    help="Of a seed there [default: 1 where the cluster has any].",
)
@click.option(
    "--tracking-uri",
    help="MLflow server or database of the models [default: that of the study].",
)
@runs_option
def train(
    configuration: Path,
    seeds: str,
    out: Path | None,
    device: str | None,
    address: str,
    cpus: int,
    gpus: float | None,
    tracking_uri: str | None,
    runs: str,
) -> None:
    """Train CONFIGURATION on the whole training set, once per seed.

    The same command continues what was interrupted.
    """
    if address != LOCAL and not is_supervised():
        grace_seconds = SEEDS_SAVE_SECONDS + LEAVING_SECONDS
        sys.exit(supervise_this_command(grace_seconds=grace_seconds))
    from balpoe.launch.train import train as train_seeds
    from balpoe.reporting.training_display import TrainingDisplay

    console = Console()
    life = supervised() if is_supervised() else nullcontext()
    with life, TrainingDisplay(console) as display:
        trained = train_seeds(
            configuration,
            parse_seeds(seeds),
            runs=runs,
            out=out,
            device=device,
            address=address,
            cpus=cpus,
            gpus=gpus,
            tracking_uri=tracking_uri,
            on_progress=display,
        )
    for model in trained.models:
        console.print(f"model  {model}", soft_wrap=True, highlight=False)
    if trained.unlogged is not None:
        click.echo(
            f"warning: MLflow lacks a model ({trained.unlogged}); the same command logs it",
            err=True,
        )
    console.print(f"Next:  balpoe evaluate {trained.path}", soft_wrap=True, highlight=False)
