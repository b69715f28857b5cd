"""Splits of the images in Parquet files, cut to a long tail or as they naturally are."""

from __future__ import annotations

from balpoe.config.image_sources import ParquetImages
from balpoe.data.decoding.encoded_images import LabelledImages
from balpoe.data.encoded_splits import FinalImages, SearchImages
from balpoe.data.sources.classes import require_images, require_labels
from balpoe.data.sources.image_file import LabelledImageFile
from balpoe.errors import DataError


def search_images(config: ParquetImages) -> SearchImages:
    """The training file, and the validation file where there is one."""
    train, names = _training_file(config)
    validation = None
    if config.validation is not None:
        validation = _further_file(config, config.validation, names)
    return SearchImages(names, train, validation)


def final_images(config: ParquetImages) -> FinalImages:
    """The training file and the test file."""
    train, names = _training_file(config)
    return FinalImages(names, train, _further_file(config, config.test, names))


def _training_file(config: ParquetImages) -> tuple[LabelledImages, tuple[str, ...]]:
    """The training images, and the names in their file, else the indices of the classes."""
    file = LabelledImageFile(config.train, config.image_column, config.label_column)
    images = LabelledImages(file, file.labels())
    names = file.class_names()
    # Without names the number of images bounds the labels: no class may be empty.
    require_labels(images, len(images) if names is None else len(names))
    names = names or tuple(str(y) for y in range(images.labels_n.max() + 1))
    require_images(images.labels_n, names, file.path)
    return images, names


def _further_file(config: ParquetImages, path: str, names: tuple[str, ...]) -> LabelledImages:
    file = LabelledImageFile(path, config.image_column, config.label_column)
    if file.class_names() not in (None, names):
        raise DataError(
            f"{path}: names other classes than the training file: write both with the same "
            f"ones, in the same order"
        )
    images = LabelledImages(file, file.labels())
    require_labels(images, len(names))
    return images
