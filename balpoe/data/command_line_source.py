"""The images of a source that is named by paths alone, as the commands on data name it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from balpoe.data.decoding.encoded_images import LabelledImages
from balpoe.data.encoded_splits import EncodedSource
from balpoe.data.sources.folder import ImageFolder
from balpoe.data.sources.folder.images import folder_images
from balpoe.data.sources.image_list import ImageList, PublishedSet
from balpoe.data.sources.image_list.images import ListSource
from balpoe.data.sources.parquet import IMAGE_COLUMN, LABEL_COLUMN, ParquetImages
from balpoe.data.sources.parquet.images import ParquetSource
from balpoe.errors import DataError

SPLITS = ("train", "validation", "test")
_FILES = {1: SPLITS[:1], 2: (SPLITS[0], SPLITS[2]), 3: SPLITS}
_OPTIONS = {
    "data.image_column": "--image-column",
    "data.label_column": "--label-column",
    "data.expected": "--expected",
    "data.validation:": "the validation list:",
    "in data.root": "as SOURCE",
}
"""What the commands on data call the fields that the cures for configurations name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What must be known of a source beside its paths; the fields are those of its configuration.

    `root` and `expected` are for lists, the columns are for Parquet files, share and seed for
    one folder tree.
    """

    root: Path | None = None
    expected: PublishedSet | None = None
    image_column: str = IMAGE_COLUMN
    label_column: str = LABEL_COLUMN
    test_share: float = 0.2
    subset_seed: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class OpenedSource:
    """All that a source has, by split; `ignored` counts files that are no images."""

    class_names: tuple[str, ...]
    splits: Mapping[str, LabelledImages]
    ignored: Counter[str] = field(default_factory=Counter)


def open_source(paths: Sequence[Path], opening: Opening) -> OpenedSource:
    """Find the images of a folder, of one to three Parquet files, or of as many lists.

    The first file is for training, the last of several for test, and one between them for
    validation. No image is decoded.

    Raises:
        DataError: The source is missing or not as its configuration says.
        StorageError: It cannot be read.
    """
    for path in paths:
        if not os.path.exists(path):
            raise DataError(f"{path}: no such file or folder: name one that is there")
    with _named_as_options():
        return _opened(paths, opening)


@contextmanager
def _named_as_options() -> Iterator[None]:
    """Put the cures in the words of the commands: there are no fields to mend here."""
    try:
        yield
    except DataError as error:
        words = str(error)
        for field_name, option in _OPTIONS.items():
            words = words.replace(field_name, option)
        raise DataError(words) from error


def _opened(paths: Sequence[Path], opening: Opening) -> OpenedSource:
    if len(paths) == 1 and paths[0].is_dir():
        _refuse_expected(paths[0], opening)
        return _opened_folder(paths[0], opening)
    if len(paths) not in _FILES:
        raise DataError(
            f"{len(paths)} sources: name a folder, or one to three files: training, validation "
            f"where there is one, test"
        )
    by_split = dict(zip(_FILES[len(paths)], map(str, paths), strict=True))
    if paths[0].suffix == ".parquet":
        _refuse_expected(paths[0], opening)
        return _opened_parquet(by_split, opening)
    return _opened_lists(by_split, opening)


def _refuse_expected(path: Path, opening: Opening) -> None:
    """Whoever asks for published counts must not believe that they were checked."""
    if opening.expected is not None:
        raise DataError(
            f"{path}: is no list, and the counts of {opening.expected} are checked of lists "
            f"alone: name the lists, or leave out --expected"
        )


def _opened_folder(root: Path, opening: Opening) -> OpenedSource:
    found = folder_images(
        ImageFolder(root=str(root), test_share=opening.test_share, subset_seed=opening.subset_seed)
    )
    splits = {"train": found.train, "validation": found.validation, "test": found.test}
    there = {split: images for split, images in splits.items() if images is not None}
    return OpenedSource(found.class_names, there, found.ignored)


def _opened_parquet(paths: Mapping[str, str], opening: Opening) -> OpenedSource:
    config = ParquetImages(
        train=paths["train"],
        validation=paths.get("validation"),
        test=paths.get("test", ""),
        image_column=opening.image_column,
        label_column=opening.label_column,
    )
    return _together(ParquetSource(config), paths)


def _opened_lists(paths: Mapping[str, str], opening: Opening) -> OpenedSource:
    if opening.root is None:
        raise DataError(f"{paths['train']}: a list needs --root, the folder of its images")
    if not opening.root.is_dir():
        raise DataError(f"{opening.root}: no such folder: --root names the folder of the images")
    config = ImageList(
        root=str(opening.root),
        train=paths["train"],
        validation=paths.get("validation"),
        test=paths.get("test", ""),
        expected=opening.expected,
    )
    return _together(ListSource(config), paths)


def _together(source: EncodedSource, paths: Mapping[str, str]) -> OpenedSource:
    search = source.search_images()
    splits = {"train": search.train}
    if search.validation is not None:
        splits["validation"] = search.validation
    if "test" in paths:
        splits["test"] = source.final_images().test
    return OpenedSource(search.class_names, splits)
