"""Splits of a folder tree of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from balpoe.data.decoding.encoded_images import ImageFiles, LabelledImages, printable
from balpoe.data.decoding.image_names import PackedNames
from balpoe.data.encoded_splits import EncodedSource, FinalImages, SearchImages
from balpoe.data.sources.folder import ImageFolder
from balpoe.data.sources.folder.image_tree import ImageTree, entries, extension_of, read_tree
from balpoe.errors import DataError
from balpoe.method.long_tailed_counts import Indices, split_off

TRAIN, VALIDATION, TEST = "train", "val", "test"
_SPLIT_NAMES = frozenset(
    {TRAIN, VALIDATION, TEST, "training", "valid", "validation", "dev", "eval", "testing"}
)


@dataclass(frozen=True, eq=False, slots=True)
class FolderImages:
    """All images of a folder tree; `ignored` counts other files by extension."""

    class_names: tuple[str, ...]
    train: LabelledImages
    validation: LabelledImages | None
    test: LabelledImages
    ignored: Counter[str]


class FolderSource(EncodedSource[ImageFolder]):
    """The images of a folder tree."""

    def search_images(self) -> SearchImages:
        """Find the training images, and the validation images if there is a folder `val`."""
        found = folder_images(self._settings)
        remarks = tuple(_remarks(found))
        return SearchImages(found.class_names, found.train, found.validation, remarks)

    def final_images(self) -> FinalImages:
        """Find the training and test images, and those of a folder `val`."""
        found = folder_images(self._settings)
        remarks = tuple(_remarks(found))
        return FinalImages(found.class_names, found.train, found.test, remarks, found.validation)


def folder_images(config: ImageFolder) -> FolderImages:
    """Find the images of the tree without opening them.

    Raises:
        DataError: The tree is missing or is not an `ImageFolder`; the message names the place.
        StorageError: A folder cannot be read.
    """
    root = Path(config.root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder: data.root names the folder of the images")
    if _has_folders(root / TRAIN):
        return _read_splits(root)
    return _split_tree(config, read_tree(root))


def _read_splits(root: Path) -> FolderImages:
    loose_files = _count_loose_files(root)
    if not (root / TEST).is_dir():
        raise DataError(
            f"{root}: has {TRAIN}/, but no {TEST}/: add it, or name {root / TRAIN} in data.root to "
            f"split off test images"
        )
    trees = {
        split: read_tree(root / split)
        for split in (TRAIN, VALIDATION, TEST)
        if (root / split).is_dir()
    }
    names = _class_names(trees[TRAIN])
    images = {split: _labelled(tree, names) for split, tree in trees.items()}
    return FolderImages(
        class_names=names,
        train=images[TRAIN],
        validation=images.get(VALIDATION),
        test=images[TEST],
        ignored=sum((tree.ignored for tree in trees.values()), loose_files),
    )


def _split_tree(config: ImageFolder, tree: ImageTree) -> FolderImages:
    names = _class_names(tree)
    if _SPLIT_NAMES.issuperset(name.casefold() for name in names):
        raise DataError(
            f"{tree.folder}: the folders are named like splits ({', '.join(names)}): name them "
            f"{TRAIN}, {VALIDATION} and {TEST}, and create a folder for every class in each"
        )
    images = _labelled(tree, names)
    test = split_off(images.labels_n, len(names), config.test_share, config.subset_seed)
    train = np.setdiff1d(np.arange(len(images)), test)

    def subset(rows: Indices) -> LabelledImages:
        chosen = PackedNames(tree.names[row] for row in rows)
        source = ImageFiles(tree.folder, chosen)
        return LabelledImages(source, images.labels_n[rows])

    return FolderImages(names, subset(train), None, subset(test), tree.ignored)


def _class_names(tree: ImageTree) -> tuple[str, ...]:
    for name, count in tree.counts.items():
        if not count:
            raise DataError(
                f"{tree.folder / name}: contains no image that Pillow reads: add images, or remove "
                f"the folder"
            )
    if len(tree.counts) == 1:
        raise DataError(
            f"{tree.folder}: contains only one folder ({next(iter(tree.counts))}), but at least "
            f"two classes are needed: give the folder that contains the folders of the classes"
        )
    return tuple(tree.counts)


def _labelled(tree: ImageTree, names: Sequence[str]) -> LabelledImages:
    index = {name: y for y, name in enumerate(names)}
    for name, count in tree.counts.items():
        if count and name not in index:
            raise DataError(
                f"{tree.folder / name}: the training images have no class of this name: add "
                f"training images, or remove the folder"
            )
    present = {index[name]: count for name, count in tree.counts.items() if count}
    # without a type, an empty array is one of floats
    labels_n = np.repeat(np.array(list(present), np.int64), list(present.values()))
    return LabelledImages(ImageFiles(tree.folder, tree.names), labels_n)


def _has_folders(folder: Path) -> bool:
    return folder.is_dir() and any(entry.is_dir() for entry in entries(folder))


def _count_loose_files(root: Path) -> Counter[str]:
    """Count the files beside the splits by extension; refuse other folders."""
    ignored: Counter[str] = Counter()
    for entry in entries(root):
        if not entry.is_dir():
            ignored[extension_of(entry.name)] += 1
        elif entry.name not in (TRAIN, VALIDATION, TEST) and not entry.name.startswith("."):
            raise DataError(
                f"{printable(root / entry.name)}: only {TEST}/ and {VALIDATION}/ are allowed "
                f"beside {TRAIN}/: rename the folder to one of them, or move it elsewhere"
            )
    return ignored


def _remarks(found: FolderImages) -> Iterator[str]:
    if found.ignored:
        kinds = (
            f"{count} {extension or 'without extension'}"
            for extension, count in found.ignored.most_common()
        )
        yield f"ignored, because they are not images: {', '.join(kinds)}"
