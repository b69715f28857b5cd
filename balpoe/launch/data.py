"""The verbs on data: what is in a source, and writing it to Parquet files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from balpoe.atomic_write import ensure_writable
from balpoe.data.inspection import Inspection, inspect_source
from balpoe.data.preparation import Preparation, PreparedFile, prepare_split
from balpoe.data.source_from_paths import OpenedSource, Opening, open_source
from balpoe.errors import StorageError

Paths = Path | str | Sequence[Path | str]
Progress = Callable[[int], AbstractContextManager[Callable[[], None]]]
"""Of so many images: a context in which every finished one is told by a call."""


@dataclass(frozen=True, slots=True)
class PreparedData:
    """The files that were written, by split; training first."""

    files: Mapping[str, PreparedFile]


def inspect_data(
    source: Paths, *, opening: Opening | None = None, progress: Progress | None = None
) -> Inspection:
    """Decode every image of a source once and report what is there; nothing is written.

    Args:
        source: A folder, one to three Parquet files, or as many lists.
        opening: What must be known of it beside its paths.
        progress: Is told of the images as they are done.

    Raises:
        DataError: The source is missing or not as its configuration says.
        StorageError: It cannot be read.
    """
    opened = open_source(_listed(source), opening or Opening())
    with (progress or _silent)(_images(opened)) as on_image:
        return inspect_source(opened, _threads(), on_image)


def prepare_data(
    source: Paths,
    out: Path | str,
    preparation: Preparation,
    *,
    opening: Opening | None = None,
    progress: Progress | None = None,
) -> PreparedData:
    """Write `<split>.parquet` for every split of a source to the directory `out`.

    Args:
        source: A folder, one to three Parquet files, or as many lists.
        out: Is made where it is missing; a file that is there already is never replaced.
        preparation: The size and the channels of the images, and whether to skip unreadable ones.
        opening: What must be known of the source beside its paths.
        progress: Is told of the images as they are done.

    Raises:
        DataError: The source or an image of it cannot be used.
        StorageError: Files are there already, or cannot be read or written.
    """
    opened = open_source(_listed(source), opening or Opening())
    paths = {split: Path(out) / f"{split}.parquet" for split in opened.splits}
    for path in paths.values():
        if path.exists():
            raise StorageError(f"{path}: is there already: remove it, or choose another --out")
    ensure_writable(Path(out))
    files = {}
    with (progress or _silent)(_images(opened)) as on_image:
        for split, images in opened.splits.items():
            files[split] = prepare_split(
                images, opened.class_names, paths[split], preparation, _threads(), on_image
            )
    return PreparedData(files)


def _listed(source: Paths) -> list[Path]:
    return [Path(source)] if isinstance(source, Path | str) else [Path(path) for path in source]


def _images(opened: OpenedSource) -> int:
    return sum(len(images) for images in opened.splits.values())


def _threads() -> int:
    return len(os.sched_getaffinity(0))


def _silent(_images: int) -> AbstractContextManager[Callable[[], None]]:
    return nullcontext(lambda: None)
