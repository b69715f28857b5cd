"""`balpoe predict`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from balpoe.cli.options import device_option, json_option
from balpoe.errors import UserError
from balpoe.launch import PREDICTIONS

if TYPE_CHECKING:
    from balpoe.evaluation.prior_estimation import PriorEstimate
    from balpoe.inference import TargetPrior
    from balpoe.launch.predict import PredictionReport


def parse_prior(text: str) -> TargetPrior:
    """Parse `train`, `uniform`, `estimate`, numbers such as `0.7,0.3`, or the path of a JSON file.

    Raises:
        UserError: the text has another form, or the file cannot be read.
    """
    from balpoe.inference.target_prior import NAMED

    if text in NAMED:
        return text  # type: ignore[return-value]  # mypy narrows to str, not to the literals
    if text.endswith(".json"):
        return _read_prior(Path(text))
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(
            f"--prior: must be {', '.join(NAMED)}, numbers such as 0.7,0.2,0.1 or a .json "
            f"file, got {text!r}"
        ) from error


def _read_prior(path: Path) -> TargetPrior:
    """Read a JSON list with a number per class, or an object with a number per class name."""
    try:
        content = json.loads(path.read_bytes())
        if isinstance(content, dict):
            return {name: float(share) for name, share in content.items()}
        return [float(share) for share in content]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"--prior {path}: must be a JSON list with a number per class, or an object with a "
            f"number for each class name ({error})"
        ) from error


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--prior",
    metavar="PRIOR",
    help="Class frequencies of the images: train, uniform, estimate, numbers such as 0.7,0.2,0.1 "
    "or a .json file [default: those the experts were trained for].",
)
@click.option(
    "--temperature",
    type=click.Choice(["none", "ensemble", "experts"]),
    default="none",
    show_default=True,
    help="Scale logits by temperatures of the model, which were fitted in its study; `balpoe "
    "evaluate MODEL --post-hoc` marks the one that validation chooses.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=PREDICTIONS,
    show_default=True,
    help="The Parquet file to write.",
)
@click.option("--logits", is_flag=True, help="Also write the logits of every expert.")
@click.option("--image-column", help="Column of Parquet files [default: as in training].")
@click.option("--skip-unreadable", is_flag=True, help="Skip images that cannot be decoded.")
@json_option("Print a summary as JSON.")
@device_option
def predict(
    model: Path, images: tuple[Path, ...], prior: str | None, as_json: bool, **options: Any
) -> None:
    """Predict the classes of IMAGES with MODEL, a model directory.

    IMAGES are image files, Parquet files, and folders of both, of any size.
    """
    from balpoe.launch.predict import predict as predict_images
    from balpoe.reporting.prediction_display import (
        PredictionDisplay,
        estimate_line,
        left_out_lines,
        predicted_classes_table,
    )

    console = Console(stderr=as_json)
    with PredictionDisplay(console) as display:
        report = predict_images(
            model,
            images,
            prior=None if prior is None else parse_prior(prior),
            on_progress=display,
            **options,
        )
    if as_json:
        click.echo(json.dumps(_plain(report), indent=1, allow_nan=False, ensure_ascii=False))
        return
    console.print(
        predicted_classes_table(
            report.class_names, report.predicted_counts, report.prior_c.tolist(), report.estimate
        )
    )
    for line in left_out_lines(report.ignored, report.unreadable):
        console.print(Text(line), soft_wrap=True)
    if report.estimate is not None and not report.estimate.converged:
        click.echo(
            f"warning: the estimated prior has not converged: after {report.estimate.iterations} "
            f"iterations {report.estimate.gap:.1e} nats per image may be missing",
            err=True,
        )
    if report.estimate is not None:
        console.print(Text(estimate_line(report.estimate)), soft_wrap=True)
    line = f"{report.images:,} predictions  {report.out}"
    console.print(Text(line), soft_wrap=True)


def _plain(report: PredictionReport) -> dict[str, Any]:
    estimate = report.estimate
    return {
        "out": str(report.out),
        "images": report.images,
        "ignored": report.ignored,
        "unreadable": report.unreadable,
        "predicted": dict(zip(report.class_names, report.predicted_counts, strict=True)),
        "prior": dict(zip(report.class_names, report.prior_c.tolist(), strict=True)),
        "estimate": estimate and _plain_estimate(report.class_names, estimate),
        "seconds": report.seconds,
    }


def _plain_estimate(class_names: Sequence[str], estimate: PriorEstimate) -> dict[str, Any]:
    ends = zip(estimate.low_c.tolist(), estimate.high_c.tolist(), strict=True)
    return {
        "moved": estimate.moved,
        "p_value": estimate.p_value,
        "variance": estimate.variance,
        "interval": dict(zip(class_names, ends, strict=True)),
        "images": estimate.images,
        "held_out": estimate.held_out,
        "iterations": estimate.iterations,
        "gap": estimate.gap,
        "converged": estimate.converged,
    }
