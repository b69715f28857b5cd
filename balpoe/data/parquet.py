"""Splits of the images in Parquet files, cut to a long tail or as they naturally are."""

from __future__ import annotations

import numpy as np
import torch

from balpoe.config.data import ParquetImages
from balpoe.data.decoded_file import decode_rows, shape_of_first_image
from balpoe.data.decoding import ImageShape
from balpoe.data.description import describe_final, describe_search
from balpoe.data.image_file import LabelledImageFile
from balpoe.data.splits import FinalSplits, ImageSet, Normalisation, SearchSplits
from balpoe.errors import DataError
from balpoe.longtail import (
    Indices,
    TrainValidation,
    class_counts,
    cut_indices,
    split_cut,
    split_natural,
)

_VALIDATION_SHARE = 10  # one image in ten of the largest class, where no number is given


def search_splits(config: ParquetImages) -> SearchSplits:
    """Training and validation images, both from the training file."""
    file = _open(config, config.train)
    labels_n = file.labels()
    names = _class_names(file, labels_n)
    split = _split(config, labels_n, len(names))
    rows = np.concatenate([split.train, split.validation])
    images = _decode(file, rows, labels_n, shape_of_first_image(file))
    trained = len(split.train)
    train = ImageSet(images.images_nhwd[:trained], images.labels_n[:trained])
    validation = ImageSet(images.images_nhwd[trained:], images.labels_n[trained:])
    return describe_search(train, validation, names, _normalisation(config))


def final_splits(config: ParquetImages) -> FinalSplits:
    """The full cut, or all training images of a natural set; and the whole test file."""
    train_file, test_file = _open(config, config.train), _open(config, config.test)
    labels_n, test_labels_n = train_file.labels(), test_file.labels()
    names = _class_names(train_file, labels_n)
    _require_same_classes(test_file, test_labels_n, names)
    rows, test_rows = _training_rows(config, labels_n, len(names)), np.arange(len(test_labels_n))
    shape = shape_of_first_image(train_file)
    train = _decode(train_file, rows, labels_n, shape)
    test = _decode(test_file, test_rows, test_labels_n, shape)
    return describe_final(train, test, names, _normalisation(config))


def _open(config: ParquetImages, path: str) -> LabelledImageFile:
    return LabelledImageFile(path, config.image_column, config.label_column)


def _class_names(file: LabelledImageFile, labels_n: Indices) -> tuple[str, ...]:
    """The names in the file, else the class indices up to the highest label."""
    names = file.class_names()
    # Without names the number of images bounds the labels: no class may be empty.
    _require_labels_below(len(labels_n) if names is None else len(names), file, labels_n)
    if names is None:
        names = tuple(str(y) for y in range(labels_n.max() + 1))
    empty = np.flatnonzero(np.bincount(labels_n, minlength=len(names)) == 0)
    if len(empty):
        raise DataError(
            f"{file.path}: class {empty[0]} ({names[empty[0]]}) has no training image: add some, "
            f"or number the classes without it"
        )
    return names


def _require_same_classes(
    test_file: LabelledImageFile, test_labels_n: Indices, names: tuple[str, ...]
) -> None:
    test_names = test_file.class_names()
    if test_names is not None and test_names != names:
        raise DataError(
            f"{test_file.path}: names other classes than the training file: write both with the "
            f"same ones, in the same order"
        )
    _require_labels_below(len(names), test_file, test_labels_n)


def _require_labels_below(classes: int, file: LabelledImageFile, labels_n: Indices) -> None:
    wrong = np.flatnonzero(labels_n >= classes)
    if len(wrong):
        raise DataError(
            f"{file.place(wrong[0])}: label {labels_n[wrong[0]]} is out of range: "
            f"it must be from 0 to {classes - 1}"
        )


def _split(config: ParquetImages, labels_n: Indices, classes: int) -> TrainValidation:
    largest = int(np.bincount(labels_n).max())
    held_out = config.validation_per_class or max(1, largest // _VALIDATION_SHARE)
    if config.imbalance_ratio is None:
        return split_natural(labels_n, classes, held_out, config.subset_seed)
    counts = _cut_counts(config, config.imbalance_ratio, labels_n, classes)
    return split_cut(labels_n, counts, held_out, config.subset_seed)


def _training_rows(config: ParquetImages, labels_n: Indices, classes: int) -> Indices:
    if config.imbalance_ratio is None:
        return np.arange(len(labels_n))
    counts = _cut_counts(config, config.imbalance_ratio, labels_n, classes)
    return cut_indices(labels_n, counts, config.subset_seed)


def _cut_counts(
    config: ParquetImages, ratio: float, labels_n: Indices, classes: int
) -> tuple[int, ...]:
    head_count = config.head_count or int(np.count_nonzero(labels_n == 0))
    return class_counts(head_count, ratio, classes)


def _decode(
    file: LabelledImageFile, rows: Indices, labels_n: Indices, shape: ImageShape
) -> ImageSet:
    # One thread for each CPU that this process was given.
    images_nhwd = decode_rows(file, rows, shape, torch.get_num_threads())
    return ImageSet(images_nhwd, torch.from_numpy(labels_n[rows]))


def _normalisation(config: ParquetImages) -> Normalisation | None:
    if config.mean is None or config.std is None:
        return None
    return Normalisation(config.mean, config.std)
