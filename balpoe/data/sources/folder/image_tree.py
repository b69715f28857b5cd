"""The image files below a folder that has a folder for each class."""

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

# Pillow knows these by name, but can decode them only with software from elsewhere.
_NOT_DECODED = frozenset({"BUFR", "GRIB", "HDF5", "MPEG"})


@dataclass(frozen=True, eq=False, slots=True)
class ImageTree:
    """Images by their names below `folder`, class by class; `counts` are those of each class.

    Classes and images are in the order of the code points of their names (in Unicode's form
    NFC, whatever the form on the disk). `ignored` counts what are no images, by extension.
    """

    folder: Path
    names: PackedNames
    counts: Mapping[str, int]
    ignored: Counter[str]


def read_tree(folder: Path) -> ImageTree:
    """Find the images of every class; folders inside a class's folder belong to the class.

    An image is a regular file with an extension that Pillow reads. Hidden files (`.` first) are
    none, and hidden folders are passed over.

    Raises:
        DataError: There are no class folders, or two names differ in capitals or form only.
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
        raise DataError(f"{folder}: holds no folders: give every class a folder of its images")
    _refuse_alike(folder, [name for alike in folders.values() for name in alike])
    names, counts = PackedNames(), {}
    for class_name, (stored,) in sorted(folders.items()):
        before = len(names)
        for name in _images_below(folder, stored, ignored):
            names.append(name)
        counts[class_name] = len(names) - before
    return ImageTree(folder, names, counts, ignored)


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, in no order.

    Raises:
        StorageError: It cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{printable(folder)}: cannot be read: {reason}") from error


def _images_below(folder: Path, class_folder: str, ignored: Counter[str]) -> list[str]:
    found = []
    for name, entry in _files_below(folder / class_folder):
        base = entry.name
        is_named_as_one = not is_hidden(base) and extension_of(base) in image_extensions()
        if not is_named_as_one or _is_special(entry):
            ignored[extension_of(base)] += 1
        else:
            found.append(f"{class_folder}/{name}")
    _refuse_alike(folder, found)
    return sorted(found, key=composed)


def _is_special(entry: os.DirEntry[str]) -> bool:
    """A pipe, socket or device, which might be read for ever; a broken link is none."""
    return not entry.is_file() and (not entry.is_symlink() or os.path.exists(entry.path))


def names_below(folder: Path) -> Iterator[str]:
    """All files below a folder, each folder's own before those of the folders in it, by name.

    Hidden folders are passed over, links are followed.

    Raises:
        DataError: A link leads to a folder above it.
        StorageError: A folder cannot be read.
    """
    return (name for name, _ in _files_below(folder))


def _files_below(
    folder: Path, above: frozenset[str] = frozenset()
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The files of `names_below` with their names; `above` are the folders that hold this one."""
    real = os.path.realpath(folder)
    if real in above:
        raise DataError(f"{printable(folder)}: links to a folder that holds it: remove the link")
    found = sorted(entries(folder), key=lambda entry: entry.name)
    yield from ((entry.name, entry) for entry in found if not entry.is_dir())
    for entry in found:
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


def _refuse_alike(folder: Path, names: list[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(caseless(name), name)
        if other is not name:
            first, second = sorted(printable(folder / alike) for alike in (other, name))
            raise DataError(
                f"{first} and {second}: the names differ only in capitals or in how accents are "
                f"stored, and are one name on other systems: rename or remove one"
            )


def is_hidden(name: str) -> bool:
    """Whether a file or folder is one that listings leave out."""
    return name.startswith(".")


def extension_of(name: str) -> str:
    """The last extension in small letters: `.jpg`, or nothing."""
    return PurePosixPath(name).suffix.lower()


@functools.cache
def image_extensions() -> frozenset[str]:
    """The extensions of the formats that Pillow decodes, in small letters: `.jpg`."""
    Image.init()
    decoded = Image.OPEN.keys() - _NOT_DECODED | {"MPO"}  # which the JPEG plugin opens
    return frozenset(
        extension for extension, form in Image.registered_extensions().items() if form in decoded
    )
