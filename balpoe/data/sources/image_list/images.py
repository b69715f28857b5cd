"""Splits of images that text files list, one `path label` a line."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from balpoe.config.wording import shown
from balpoe.data.class_labels import require_images, require_labels
from balpoe.data.decoding.encoded_images import ImageFiles, LabelledImages
from balpoe.data.decoding.image_names import PackedNames, caseless
from balpoe.data.encoded_splits import EncodedSource, FinalImages, SearchImages
from balpoe.data.sources.image_list import ImageList
from balpoe.data.sources.image_list.published import require_published
from balpoe.errors import DataError, StorageError
from balpoe.method.long_tailed_counts import Indices

_LARGEST_LABEL = 2**31 - 1


@dataclass(frozen=True, eq=False, slots=True)
class ListedImages:
    """The files of a list and their labels, int64 [N]."""

    files: ImageFiles
    labels_n: Indices


class ListSource(EncodedSource):
    """The images that text files list."""

    def __init__(self, settings: ImageList) -> None:
        super().__init__(settings)
        self._lists = settings

    def search_images(self) -> SearchImages:
        """Read the training list, and the validation list if there is one."""
        paths = {"train": self._lists.train}
        if self._lists.validation is not None:
            paths["validation"] = self._lists.validation
        lists, names = _lists(self._lists, paths)
        return SearchImages(names, lists["train"], lists.get("validation"))

    def final_images(self) -> FinalImages:
        """Read the training list and the test list."""
        paths = {"train": self._lists.train, "test": self._lists.test}
        lists, names = _lists(self._lists, paths)
        return FinalImages(names, lists["train"], lists["test"])


def _lists(
    config: ImageList, paths: Mapping[str, str]
) -> tuple[dict[str, LabelledImages], tuple[str, ...]]:
    """Read and check the lists, by split, and name the classes."""
    root = Path(config.root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder: data.root names the folder of the images")
    files = {split: read_list(Path(path), root) for split, path in paths.items()}
    refuse_repeated_files([of.files for of in files.values()])
    lists = {split: LabelledImages(of.files, of.labels_n) for split, of in files.items()}
    train_n = lists["train"].labels_n
    require_labels(lists["train"], len(train_n))  # as many classes at most: none may be empty
    names = tuple(str(y) for y in range(train_n.max() + 1))
    for split, images in lists.items():
        require_labels(images, len(names))
        if config.expected is not None:
            require_published(config.expected, split, images.labels_n, paths[split])
    require_images(train_n, names, config.train)
    return lists, names


def read_list(path: Path, root: Path) -> ListedImages:
    """The images that a list names, below `root`; none is opened.

    Raises:
        DataError: The list cannot be read, is empty, or a line is not `path label`.
    """
    names, labels, lines = PackedNames(), array("i"), array("I")
    for line, text in enumerate(_texts(path), 1):
        if not text.strip():
            continue
        name, *label = text.rsplit(maxsplit=1)
        if not label or not _is_class(label[0]):
            raise DataError(
                f"{path}:{line}: must be a path, a blank and the index of a class from 0, got "
                f"{shown(text)}"
            )
        if "\0" in name:
            raise DataError(
                f"{path}:{line}: a path cannot have a NUL byte, got {shown(name)}: write it "
                f"without, and the list as UTF-8"
            )
        names.append(name.strip())
        labels.append(int(label[0]))
        lines.append(line)
    if not names:
        raise DataError(f"{path}: lists no images: give one `path label` a line")
    return ListedImages(ImageFiles(root, names, path, lines), np.array(labels, dtype=np.int64))


def refuse_repeated_files(lists: Sequence[ImageFiles]) -> None:
    """Check that no file is listed twice, in one list or in two.

    Names are compared by their hash first: a dictionary of all would take more memory than they.
    Links are not followed: that would ask the file system about every image.

    Raises:
        DataError: Two lines name one file, or names that differ in capitals only.
    """
    hash_n = np.fromiter((hash(name) for name in _compared_names(lists)), dtype=np.int64)
    hashes_u, counts_u = np.unique(hash_n, return_counts=True)
    is_suspect_n = np.isin(hash_n, hashes_u[counts_u > 1])
    seen: dict[str, int] = {}
    for number, name in enumerate(_compared_names(lists)):
        if not is_suspect_n[number]:
            continue
        first = seen.setdefault(name, number)
        if first != number:
            raise DataError(
                f"{_place(lists, number)}: is listed already as {_place(lists, first)} (capitals "
                f"and detours do not count): list every image once"
            )


def _compared_names(lists: Sequence[ImageFiles]) -> Iterator[str]:
    """All names, such that those are equal that lead to one file or differ in capitals only."""
    for files in lists:
        root = os.path.abspath(files.root)
        for name in files.names:
            yield caseless(os.path.normpath(os.path.join(root, name)))


def _place(lists: Sequence[ImageFiles], number: int) -> str:
    """How messages call an image, counted through all lists."""
    for files in lists:
        if number < len(files.names):
            return files.place(number)
        number -= len(files.names)
    raise AssertionError("no list has so many images")


def _is_class(label: str) -> bool:
    return label.isdecimal() and len(label) < 19 and int(label) <= _LARGEST_LABEL


def _texts(path: Path) -> Iterator[str]:
    """The lines of a list, one by one."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from (line.removesuffix("\n") for line in file)
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: no such file: data.train, data.validation and data.test name lists"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: is no text in UTF-8 ({error}): write the list as UTF-8"
        ) from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
