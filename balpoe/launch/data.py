"""The commands `data inspect` and `data prepare`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from balpoe.atomic_write import ensure_writable
from balpoe.data.command_line_source import OpenedSource, SourceOptions, open_source
from balpoe.data.inspection import Inspection, inspect_source
from balpoe.data.preparation import Preparation, PreparedFile, prepare_split
from balpoe.errors import StorageError

Paths = Path | str | Sequence[Path | str]
Progress = Callable[[int], AbstractContextManager[Callable[[], None]]]
"""Takes the number of images; returns a context with a function to call after each image."""


@dataclass(frozen=True, slots=True)
class PreparedData:
    """The files that were written, by split; training first."""

    files: Mapping[str, PreparedFile]


def inspect_data(
    source: Paths, *, options: SourceOptions | None = None, progress: Progress | None = None
) -> Inspection:
    """Decode every image of a source once and report what the source holds; nothing is written.

    Args:
        source: A folder, one to three Parquet files, or one to three lists.
        options: Options of the source.
        progress: Receives the number of images and a call after each image.

    Raises:
        DataError: the source is missing, or does not match its options.
        StorageError: the source cannot be read.
    """
    opened = _open(source, options)
    with (progress or _no_progress)(_count(opened)) as on_image:
        return inspect_source(opened, _threads(), on_image)


def prepare_data(
    source: Paths,
    out: Path | str,
    preparation: Preparation,
    *,
    options: SourceOptions | None = None,
    progress: Progress | None = None,
) -> PreparedData:
    """Write `<split>.parquet` for every split of a source to the directory `out`.

    Args:
        source: A folder, one to three Parquet files, or one to three lists.
        out: The directory, created if it is missing; existing files are never replaced.
        preparation: Size and channels of the images, and whether to skip unreadable ones.
        options: Options of the source.
        progress: Receives the number of images and a call after each image.

    Raises:
        DataError: the source or an image cannot be used.
        StorageError: files exist already, or cannot be read or written.
    """
    opened = _open(source, options)
    paths = {split: Path(out) / f"{split}.parquet" for split in opened.splits}
    for path in paths.values():
        if path.exists():
            raise StorageError(f"{path}: exists already: remove it, or choose another --out")
    ensure_writable(Path(out))
    with (progress or _no_progress)(_count(opened)) as on_image:
        return PreparedData(
            {
                split: prepare_split(
                    images, opened.class_names, paths[split], preparation, _threads(), on_image
                )
                for split, images in opened.splits.items()
            }
        )


def _open(source: Paths, options: SourceOptions | None) -> OpenedSource:
    paths = [source] if isinstance(source, Path | str) else source
    return open_source([Path(path) for path in paths], options or SourceOptions())


def _count(opened: OpenedSource) -> int:
    return sum(len(images) for images in opened.splits.values())


def _threads() -> int:
    return len(os.sched_getaffinity(0))


def _no_progress(_images: int) -> AbstractContextManager[Callable[[], None]]:
    return nullcontext(lambda: None)
