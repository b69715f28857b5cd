"""`balpoe onnx`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("model.onnx"),
    show_default=True,
    help="The ONNX file to write.",
)
def onnx(model: Path, out: Path) -> None:
    """Write the model directory MODEL as an ONNX file (needs balpoe[onnx])."""
    from balpoe.launch.onnx import to_onnx

    click.echo(f"onnx  {to_onnx(model, out)}")
