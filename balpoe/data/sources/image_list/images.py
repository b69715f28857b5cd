"""Splits of images listed in text files, one `path label` per line."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
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


class ListSource(EncodedSource[ImageList]):
    """The images listed in text files."""

    def search_images(self) -> SearchImages:
        """Read the training list, and the validation list if there is one."""
        lists, names = _read_lists(self._settings, self._paths())
        return SearchImages(names, lists["train"], lists.get("validation"))

    def final_images(self) -> FinalImages:
        """Read the training list, the test list, and the validation list if there is one."""
        paths = self._paths() | {"test": self._settings.test}
        lists, names = _read_lists(self._settings, paths)
        validation = lists.get("validation")
        return FinalImages(names, lists["train"], lists["test"], validation=validation)

    def _paths(self) -> dict[str, str]:
        paths = {"train": self._settings.train}
        if self._settings.validation is not None:
            paths["validation"] = self._settings.validation
        return paths


def _read_lists(
    config: ImageList, paths: Mapping[str, str]
) -> tuple[dict[str, LabelledImages], tuple[str, ...]]:
    """Read and check the lists; return their images by split, and the class names."""
    root = Path(config.root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder: data.root names the folder of the images")
    lists, files = {}, []
    for split, path in paths.items():
        listed_files, labels_n = _read_list(Path(path), root)
        files.append(listed_files)
        lists[split] = LabelledImages(listed_files, labels_n)
    _refuse_repeated_files(files)
    train_n = lists["train"].labels_n
    # No class may be empty, so there are at most as many classes as images.
    require_labels(lists["train"], len(train_n))
    names = tuple(str(y) for y in range(train_n.max() + 1))
    for split, images in lists.items():
        require_labels(images, len(names))
        if config.expected is not None:
            require_published(config.expected, split, images.labels_n, paths[split])
    require_images(train_n, names, config.train)
    return lists, names


def _read_list(path: Path, root: Path) -> tuple[ImageFiles, Indices]:
    """Return the image files that a list names and their labels, int64 [N].

    Raises:
        DataError: The list cannot be read, is empty, or a line is not `path label`.
    """
    names, labels, lines = PackedNames(), array("i"), array("I")
    for line, text in enumerate(_lines_of(path), 1):
        if not text.strip():
            continue
        name, *label = text.rsplit(maxsplit=1)
        if not label or not _is_class_index(label[0]):
            raise DataError(
                f"{path}:{line}: must be a path, a space and a class index from 0, got "
                f"{shown(text)}"
            )
        if "\0" in name:
            raise DataError(
                f"{path}:{line}: must be a path without a NUL byte, got {shown(name)}: write the "
                f"list as UTF-8"
            )
        names.append(name.strip())
        labels.append(int(label[0]))
        lines.append(line)
    if not names:
        raise DataError(f"{path}: lists no images: write one `path label` per line")
    return ImageFiles(root, names, path, lines), np.array(labels, dtype=np.int64)


def _refuse_repeated_files(lists: Sequence[ImageFiles]) -> None:
    """Check that no file is listed twice, in one list or in two.

    Links are not resolved, because this would access every image.

    Raises:
        DataError: Two lines name the same file, or names that differ only in case.
    """
    # Hashes are compared first: a dictionary of all names would need more memory than the names.
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
                f"{_place(lists, number)}: is already listed as {_place(lists, first)} (names are "
                f"compared without case, as normalised paths): list every image once"
            )


def _compared_names(lists: Sequence[ImageFiles]) -> Iterator[str]:
    """Yield a key for each name that is equal for the same path and for paths of another case."""
    for files in lists:
        root = os.path.abspath(files.root)
        for name in files.names:
            yield caseless(os.path.normpath(os.path.join(root, name)))


def _place(lists: Sequence[ImageFiles], number: int) -> str:
    """Return the name in messages of an image, numbered through all lists."""
    for files in lists:
        if number < len(files.names):
            return files.place(number)
        number -= len(files.names)
    raise AssertionError("the lists have fewer images")


def _is_class_index(label: str) -> bool:
    return label.isdecimal() and len(label) < 19 and int(label) <= _LARGEST_LABEL


def _lines_of(path: Path) -> Iterator[str]:
    """Yield the lines of a list."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from (line.removesuffix("\n") for line in file)
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: no such file: data.train, data.validation and data.test must name lists"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text ({error}): write the list as UTF-8") from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
