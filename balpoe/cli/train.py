"""`balpoe train`."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from balpoe.cli.options import device_option, json_option, runs_option
from balpoe.cluster.address import LOCAL
from balpoe.errors import UserError
from balpoe.exporting.export_files import is_known_point
from balpoe.launch.supervision import is_supervised, supervise_this_command, supervised
from balpoe.study.execution.interruption import SEEDS_SAVE_SECONDS

if TYPE_CHECKING:
    from balpoe.launch.train import TrainedSeeds

_EXIT_SECONDS = 5.0
"""From the last checkpoint of the seeds on a cluster until their driver exits."""


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse `1,2,3`.

    Raises:
        UserError: the text has another form.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(f"--seeds: must be numbers such as 1,2,3, got {text!r}") from error


@click.command()
@click.argument("configurations", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--seeds", default="0", show_default=True, help="Seeds, such as 1,2,3.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Directory of the models; for several configurations the parent of their directories "
    "NAME [default: models/NAME in the directory of --runs].",
)
@device_option
@click.option(
    "--address",
    default=LOCAL,
    show_default=True,
    help="Ray cluster that trains the seeds in parallel: HOST:PORT of its head, or auto for the "
    "cluster of this host.",
)
@click.option(
    "--cpus",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="CPUs of each seed on a cluster.",
)
@click.option(
    "--gpus",
    type=click.FloatRange(min=0),
    help="GPUs of each seed on a cluster [default: 1 if the cluster has any].",
)
@click.option(
    "--tracking-uri",
    help="MLflow server or database of the models [default: that of the study].",
)
@click.option(
    "--register",
    metavar="NAME",
    help="Register each seed as a version of the MLflow model NAME; the first of --seeds gets the "
    "alias champion, since test scores choose no seed.",
)
@click.option(
    "--first-stage",
    metavar="MODEL",
    type=click.Path(path_type=Path),
    help="Train only the second stage, on this model, or on those of the seeds in this directory.",
)
@json_option("Print the models as JSON at the end.")
@runs_option
def train(
    configurations: tuple[Path, ...], seeds: str, address: str, as_json: bool, **options: Any
) -> None:
    """Train each of the CONFIGURATIONS on the whole training set, once per seed.

    All files are read before the first training. The same command continues an interrupted
    training.
    """
    if address != LOCAL and not is_supervised():
        sys.exit(supervise_this_command(grace_seconds=SEEDS_SAVE_SECONDS + _EXIT_SECONDS))
    from balpoe.launch.train import train as train_seeds
    from balpoe.reporting.training_display import TrainingDisplay

    console = Console(stderr=as_json)
    supervision = supervised() if is_supervised() else nullcontext()
    with supervision, TrainingDisplay(console) as display:
        trained = train_seeds(
            configurations, parse_seeds(seeds), address=address, on_progress=display, **options
        )
    if as_json:
        click.echo(json.dumps([_plain(each) for each in trained], indent=1, ensure_ascii=False))
        return
    for model in (model for each in trained for model in each.models):
        console.print(Text(f"model  {model}"), soft_wrap=True)
    for reason in dict.fromkeys(each.unlogged for each in trained if each.unlogged is not None):
        click.echo(f"warning: MLflow lacks a model ({reason}); the same command logs it", err=True)
    # the first model that `evaluate` gets is its reference: not a known point, if there is another
    ordered = sorted(trained, key=lambda each: is_known_point(each.configuration_file))
    paths = shlex.join(str(each.path) for each in ordered)
    console.print(Text(f"Next:  balpoe evaluate {paths}"), soft_wrap=True)


def _plain(trained: TrainedSeeds) -> dict[str, Any]:
    return {
        "configuration": str(trained.configuration_file),
        "path": str(trained.path),
        "seeds": trained.seeds,
        "models": [str(model) for model in trained.models],
        "unlogged": trained.unlogged,
    }
