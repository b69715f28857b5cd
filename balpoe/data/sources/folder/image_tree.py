"""Reading of a folder with one folder of images for each class."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from balpoe.data.decoding.encoded_images import printable
from balpoe.data.decoding.image_names import PackedNames, caseless, composed
from balpoe.errors import DataError, StorageError

# formats that Pillow decodes only with additional software
_NOT_DECODED = frozenset({"BUFR", "GRIB", "HDF5", "MPEG"})


@dataclass(frozen=True, eq=False, slots=True)
class ImageTree:
    """The images below `folder`, class by class; `counts` has the number of images of each class.

    Classes and images are sorted by the code points of their names in Unicode form NFC. `ignored`
    counts files that are not images, by extension.
    """

    folder: Path
    names: PackedNames
    counts: Mapping[str, int]
    ignored: Counter[str]


def read_tree(folder: Path) -> ImageTree:
    """Find the images of every class, including subfolders of the class folders.

    An image is a regular file with an extension that Pillow reads. Hidden files are counted as
    ignored; hidden folders are skipped.

    Raises:
        DataError: There are no class folders, or two names differ only in case or Unicode form.
        StorageError: A folder cannot be read.
    """
    ignored: Counter[str] = Counter()
    folders: dict[str, list[str]] = {}
    for entry in entries(folder):
        if not entry.is_dir():
            ignored[extension_of(entry.name)] += 1
        elif not is_hidden(entry.name):
            folders.setdefault(_class_name(folder, entry.name), []).append(entry.name)
    if not folders:
        raise DataError(f"{folder}: contains no folders: create a folder of images for every class")
    _require_distinct_names(folder, [name for stored in folders.values() for name in stored])
    names, counts = PackedNames(), {}
    for class_name, (stored,) in sorted(folders.items()):
        before = len(names)
        for name in _images_below(folder, stored, ignored):
            names.append(name)
        counts[class_name] = len(names) - before
    return ImageTree(folder, names, counts, ignored)


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, in any order.

    Raises:
        StorageError: The folder cannot be read.
    """
    try:
        with os.scandir(folder) as scan:
            return list(scan)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{printable(folder)}: cannot be read: {reason}") from error


def _images_below(folder: Path, class_folder: str, ignored: Counter[str]) -> list[str]:
    images = []
    for name, entry in _files_below(folder / class_folder):
        extension = extension_of(entry.name)
        if is_hidden(entry.name) or extension not in image_extensions() or _is_special(entry):
            ignored[extension] += 1
        else:
            images.append(f"{class_folder}/{name}")
    _require_distinct_names(folder, images)
    return sorted(images, key=composed)


def _is_special(entry: os.DirEntry[str]) -> bool:
    """Whether the entry is a pipe, socket or device; a broken link is not."""
    return not entry.is_file() and (not entry.is_symlink() or os.path.exists(entry.path))


def names_below(folder: Path) -> Iterator[str]:
    """Yield the names of all files below a folder, sorted; files precede subfolders.

    Hidden folders are skipped, links are followed.

    Raises:
        DataError: A link points to a folder that contains it.
        StorageError: A folder cannot be read.
    """
    return (name for name, _ in _files_below(folder))


def _files_below(
    folder: Path, above: frozenset[str] = frozenset()
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield names and files as in `names_below`; `above` are the parent folders."""
    real = os.path.realpath(folder)
    if real in above:
        raise DataError(f"{printable(folder)}: links to a folder that contains it: remove the link")
    children = sorted(entries(folder), key=lambda entry: entry.name)
    yield from ((entry.name, entry) for entry in children if not entry.is_dir())
    for entry in children:
        if entry.is_dir() and not is_hidden(entry.name):
            inside = _files_below(folder / entry.name, above | {real})
            yield from ((f"{entry.name}/{name}", file) for name, file in inside)


def _class_name(folder: Path, name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{printable(folder / name)}: the name is not UTF-8: rename the folder"
        ) from error
    return composed(name)


def _require_distinct_names(folder: Path, names: list[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(caseless(name), name)
        if other is not name:
            first, second = sorted(printable(folder / same) for same in (other, name))
            raise DataError(
                f"{first} and {second}: the names differ only in case or Unicode normalisation, "
                f"which some file systems do not distinguish: rename or remove one"
            )


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden: its name starts with a dot."""
    return name.startswith(".")


def extension_of(name: str) -> str:
    """Return the last extension in lower case, such as `.jpg`, or an empty string."""
    return PurePosixPath(name).suffix.lower()


@functools.cache
def image_extensions() -> frozenset[str]:
    """Return the extensions of the formats that Pillow decodes, in lower case."""
    Image.init()
    decoded = Image.OPEN.keys() - _NOT_DECODED | {"MPO"}  # opened by the JPEG plugin
    return frozenset(
        extension for extension, form in Image.registered_extensions().items() if form in decoded
    )
