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

from balpoe.cli.options import json_option
from balpoe.data import IMAGE_COLUMN, LABEL_COLUMN

_SOURCE_OPTIONS = (
    click.argument("source", nargs=-1, required=True, type=click.Path(path_type=Path)),
    click.option("--root", type=click.Path(path_type=Path), help="For lists: the image folder."),
    click.option(
        "--expected",
        type=click.Choice(["imagenet_lt", "inaturalist2018"]),
        help="For lists: the data set whose published counts they must have.",
    ),
    click.option(
        "--image-column", default=IMAGE_COLUMN, show_default=True, help="For Parquet files."
    ),
    click.option(
        "--label-column", default=LABEL_COLUMN, show_default=True, help="For Parquet files."
    ),
    click.option(
        "--test-share",
        type=click.FloatRange(0, 0.5, min_open=True),
        default=0.2,
        show_default=True,
        help="For a folder without splits: the share of test images.",
    ),
    click.option(
        "--subset-seed",
        type=click.IntRange(0, 2**32 - 1),
        default=0,
        show_default=True,
        help="The seed of that split.",
    ),
)


def _source_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_SOURCE_OPTIONS):
        command = option(command)
    return command


@click.group()
def data() -> None:
    """Inspect images, and write them to Parquet files.

    SOURCE is a folder with a subfolder for each class (or with train/, test/ and optionally val/
    of such subfolders), or one to three Parquet files or lists of `path label`: training,
    validation (optional), test.
    """


@data.command()
@_source_options
@json_option("Print JSON.")
def inspect(source: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Count the images of SOURCE, and find unreadable and duplicate images."""
    from balpoe.data.command_line_source import SourceOptions
    from balpoe.launch.data import inspect_data
    from balpoe.reporting.data_report import inspection_plain, inspection_report

    found = inspect_data(source, options=SourceOptions(**options), progress=_progress_bar)
    if as_json:
        plain = inspection_plain(found)
        click.echo(json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False))
        return
    Console().print(inspection_report(source[0].resolve().name, found))


@data.command()
@_source_options
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new directory.")
@click.option("--size", required=True, type=click.IntRange(5, 1024), help="In pixels.")
@click.option("--channels", type=click.Choice(["1", "3"]), default="3", help="1: grey.")
@click.option("--skip-unreadable", is_flag=True, help="Skip images that cannot be decoded.")
def prepare(
    source: tuple[Path, ...],
    out: Path,
    size: int,
    channels: str,
    skip_unreadable: bool,
    **options: Any,
) -> None:
    """Write the splits of SOURCE to OUT/train.parquet and so on.

    For a SIZE up to 64, images are cropped to squares of SIZE and stored without loss. For a larger
    SIZE they are stored as JPEG, with the shorter side scaled down to SIZE.
    """
    from balpoe.data.command_line_source import SourceOptions
    from balpoe.data.preparation import LOSSLESS_UP_TO, Preparation
    from balpoe.launch.data import prepare_data

    preparation = Preparation(
        size=size,
        channels=1 if channels == "1" else 3,
        unreadable="skip" if skip_unreadable else "refuse",
    )
    prepared = prepare_data(
        source, out, preparation, options=SourceOptions(**options), progress=_progress_bar
    )
    for file in prepared.files.values():
        skipped = f", {len(file.unreadable)} unreadable left out" if file.unreadable else ""
        click.echo(f"{file.path}: {file.images:,} images{skipped}")
        for error in file.unreadable:
            click.echo(f"warning: {error}", err=True)
    click.echo("\nIn a study:\ndata:\n  name: parquet")
    for split, file in prepared.files.items():
        click.echo(f"  {split}: {json.dumps(str(file.path), ensure_ascii=False)}")
    if size > LOSSLESS_UP_TO:
        click.echo(f"  image_size: {size}  # or less\n  channels: {channels}")


@contextmanager
def _progress_bar(images: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar within the block, on terminals only."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("images", total=images)
        yield lambda: progress.advance(task)
