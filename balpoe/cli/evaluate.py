"""`balpoe evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

if TYPE_CHECKING:
    from balpoe.evaluation import DistributionEvaluation
    from balpoe.launch.evaluation import SeedEvaluation


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--experts", is_flag=True, help="Show every expert by itself too.")
@click.option("--json", "as_json", is_flag=True, help="Print every metric as JSON.")
@click.option("--device", help="cpu, cuda, cuda:1 [default: a GPU where there is one].")
def evaluate(model: Path, experts: bool, as_json: bool, device: str | None) -> None:
    """Measure MODEL on the test set and its ten long-tailed cuts.

    MODEL is a model directory, or the directory of a training over several seeds: then the
    table shows mean and standard deviation.
    """
    from balpoe.launch.evaluation import evaluate as evaluate_model
    from balpoe.reporting.evaluation_table import detail_table, evaluation_table

    seeds = evaluate_model(model, device=device)
    if as_json:
        click.echo(json.dumps([_plain(seed) for seed in seeds], indent=1, allow_nan=False))
        return
    console = Console()
    rows = [seed.rows for seed in seeds]
    console.print(evaluation_table(model.name, rows))
    console.print(detail_table(rows, seeds[0].lambdas if experts else ()))


def _plain(seed: SeedEvaluation) -> dict[str, Any]:
    return {
        "model": str(seed.path),
        "seed": seed.seed,
        "lambdas": seed.lambdas,
        "distributions": [
            {
                "distribution": row.distribution,
                "images": row.images,
                "known_prior": row.known_prior,
                "metrics": _bare_scalars(row),
            }
            for row in seed.rows
        ],
    }


def _bare_scalars(row: DistributionEvaluation) -> dict[str, float]:
    return {name.removeprefix(f"{row.split}/"): value for name, value in row.scalars().items()}
