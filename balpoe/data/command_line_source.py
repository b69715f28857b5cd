"""Sources of images given by paths on the command line instead of a configuration."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from balpoe.data import IMAGE_COLUMN, LABEL_COLUMN
from balpoe.data.decoding.encoded_images import LabelledImages
from balpoe.data.encoded_splits import EncodedSource
from balpoe.data.sources.folder import ImageFolder
from balpoe.data.sources.folder.images import folder_images
from balpoe.data.sources.image_list import ImageList, PublishedSet
from balpoe.data.sources.image_list.images import ListSource
from balpoe.data.sources.parquet import ParquetImages
from balpoe.data.sources.parquet.images import ParquetSource
from balpoe.errors import DataError

SPLITS = ("train", "validation", "test")
_SPLITS_BY_FILE_COUNT = {1: SPLITS[:1], 2: (SPLITS[0], SPLITS[2]), 3: SPLITS}
_OPTIONS_BY_FIELD = {
    "data.image_column": "--image-column",
    "data.label_column": "--label-column",
    "data.expected": "--expected",
    "data.validation:": "the validation list:",
    "in data.root": "as SOURCE",
}
"""The command line options that replace configuration fields in the hints of messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """The settings of a source beside its paths, named like the fields of its configuration.

    `root` and `expected` apply to lists, the columns to Parquet files, and `test_share` and
    `subset_seed` to a folder without splits.
    """

    root: Path | None = None
    expected: PublishedSet | None = None
    image_column: str = IMAGE_COLUMN
    label_column: str = LABEL_COLUMN
    test_share: float = 0.2
    subset_seed: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class OpenedSource:
    """The images of a source by split; `ignored` counts files that are not images, by extension."""

    class_names: tuple[str, ...]
    splits: Mapping[str, LabelledImages]
    ignored: Counter[str] = field(default_factory=Counter)


def open_source(paths: Sequence[Path], options: SourceOptions) -> OpenedSource:
    """Find the images of a folder, of one to three Parquet files, or of as many lists.

    The first file holds the training images, the last of several files the test images, and a
    file between them the validation images. No image is decoded.

    Raises:
        DataError: The source is missing or does not match its options.
        StorageError: The source cannot be read.
    """
    for path in paths:
        if not os.path.exists(path):
            raise DataError(f"{path}: no such file or folder: give an existing path")
    with _option_names_in_errors():
        return _open(paths, options)


@contextmanager
def _option_names_in_errors() -> Iterator[None]:
    """Replace configuration fields by command line options in the messages of errors."""
    try:
        yield
    except DataError as error:
        message = str(error)
        for field_name, option in _OPTIONS_BY_FIELD.items():
            message = message.replace(field_name, option)
        raise DataError(message) from error


def _open(paths: Sequence[Path], options: SourceOptions) -> OpenedSource:
    if len(paths) == 1 and paths[0].is_dir():
        _refuse_expected(paths[0], options)
        return _open_folder(paths[0], options)
    if len(paths) not in _SPLITS_BY_FILE_COUNT:
        raise DataError(
            f"{len(paths)} sources: give one folder, or one to three files (training, optional "
            f"validation, test)"
        )
    by_split = dict(zip(_SPLITS_BY_FILE_COUNT[len(paths)], map(str, paths), strict=True))
    if paths[0].suffix == ".parquet":
        _refuse_expected(paths[0], options)
        return _open_parquet(by_split, options)
    return _open_lists(by_split, options)


def _refuse_expected(path: Path, options: SourceOptions) -> None:
    """Refuse `expected` for sources whose counts are not compared with published ones."""
    if options.expected is not None:
        raise DataError(
            f"{path}: is not a list, and the counts of {options.expected} are checked for lists "
            f"only: give the lists, or leave out --expected"
        )


def _open_folder(root: Path, options: SourceOptions) -> OpenedSource:
    images = folder_images(
        ImageFolder(root=str(root), test_share=options.test_share, subset_seed=options.subset_seed)
    )
    splits = {"train": images.train}
    if images.validation is not None:
        splits["validation"] = images.validation
    splits["test"] = images.test
    return OpenedSource(images.class_names, splits, images.ignored)


def _open_parquet(paths: Mapping[str, str], options: SourceOptions) -> OpenedSource:
    config = ParquetImages(
        train=paths["train"],
        validation=paths.get("validation"),
        test=paths.get("test", ""),
        image_column=options.image_column,
        label_column=options.label_column,
    )
    return _open_splits(ParquetSource(config), paths)


def _open_lists(paths: Mapping[str, str], options: SourceOptions) -> OpenedSource:
    if options.root is None:
        raise DataError(f"{paths['train']}: a list needs --root, the folder of its images")
    if not options.root.is_dir():
        raise DataError(f"{options.root}: no such folder: --root must be the folder of the images")
    config = ImageList(
        root=str(options.root),
        train=paths["train"],
        validation=paths.get("validation"),
        test=paths.get("test", ""),
        expected=options.expected,
    )
    return _open_splits(ListSource(config), paths)


def _open_splits(source: EncodedSource[Any], paths: Mapping[str, str]) -> OpenedSource:
    search = source.search_images()
    splits = {"train": search.train}
    if search.validation is not None:
        splits["validation"] = search.validation
    if "test" in paths:
        splits["test"] = source.final_images().test
    return OpenedSource(search.class_names, splits)
