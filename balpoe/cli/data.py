"""`balpoe data`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

_OPENING = (
    click.argument("source", nargs=-1, required=True, type=click.Path(path_type=Path)),
    click.option("--root", type=click.Path(path_type=Path), help="Of lists: the images' folder."),
    click.option(
        "--expected",
        type=click.Choice(["imagenet_lt", "inaturalist2018"]),
        help="Of lists: the set whose published counts they must have.",
    ),
    click.option("--image-column", default="image", show_default=True, help="Of Parquet files."),
    click.option("--label-column", default="label", show_default=True, help="Of Parquet files."),
    click.option(
        "--test-share",
        type=click.FloatRange(0, 0.5, min_open=True),
        default=0.2,
        show_default=True,
        help="Of one tree, split off.",
    ),
    click.option(
        "--subset-seed",
        type=click.IntRange(0, 2**32 - 1),
        default=0,
        show_default=True,
        help="Of that choice.",
    ),
)


def _of_source(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPENING):
        command = option(command)
    return command


@click.group()
def data() -> None:
    """Look at images, and write them to Parquet files.

    SOURCE is a folder that has a folder for each class (or train/, test/ and perhaps val/ with
    these), or one to three Parquet files or lists of `path label`: training, validation where
    there is one, test.
    """


@data.command()
@_of_source
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def inspect(source: tuple[Path, ...], as_json: bool, **opening: Any) -> None:
    """Count the images of SOURCE, and find what is unreadable or there twice."""
    from balpoe.data.source_from_paths import Opening
    from balpoe.launch.data import inspect_data
    from balpoe.reporting.data_report import inspection_plain, inspection_report

    found = inspect_data(source, opening=Opening(**opening), progress=_bar)
    if as_json:
        plain = inspection_plain(found)
        click.echo(json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False))
        return
    Console().print(inspection_report(source[0].resolve().name, found))


@data.command()
@_of_source
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new directory.")
@click.option("--size", required=True, type=click.IntRange(5, 1024), help="In pixels.")
@click.option("--channels", type=click.Choice(["1", "3"]), default="3", help="1: grey.")
@click.option("--skip-unreadable", is_flag=True, help="Leave unreadable images out.")
def prepare(
    source: tuple[Path, ...],
    out: Path,
    size: int,
    channels: str,
    skip_unreadable: bool,
    **opening: Any,
) -> None:
    """Write SOURCE to OUT/train.parquet and so on, for any number of trainings.

    Up to 64 pixels images are cut to squares of this size, without loss; above it they are encoded
    as JPEG, their shorter side scaled down to it.
    """
    from balpoe.data.preparation import LOSSLESS_UP_TO, Preparation
    from balpoe.data.source_from_paths import Opening
    from balpoe.launch.data import prepare_data

    preparation = Preparation(
        size=size,
        channels=1 if channels == "1" else 3,
        unreadable="skip" if skip_unreadable else "refuse",
    )
    prepared = prepare_data(source, out, preparation, opening=Opening(**opening), progress=_bar)
    for file in prepared.files.values():
        left_out = f", {len(file.unreadable)} unreadable left out" if file.unreadable else ""
        click.echo(f"{file.path}: {file.images:,} images{left_out}")
        for fault in file.unreadable:
            click.echo(f"warning: {fault}", err=True)
    click.echo("\nIn a study:\ndata:\n  name: parquet")
    for split, file in prepared.files.items():
        click.echo(f"  {split}: {json.dumps(str(file.path), ensure_ascii=False)}")
    if size > LOSSLESS_UP_TO:
        click.echo(f"  image_size: {size}  # or less\n  channels: {channels}")


@contextmanager
def _bar(images: int) -> Iterator[Callable[[], None]]:
    """Shown on a terminal only, and gone when it is done."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("images", total=images)
        yield lambda: progress.advance(task)
