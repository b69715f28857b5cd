"""Splits of the images in Parquet files."""

from __future__ import annotations

from balpoe.data.class_labels import require_images, require_labels
from balpoe.data.decoding.encoded_images import LabelledImages
from balpoe.data.encoded_splits import EncodedSource, FinalImages, SearchImages
from balpoe.data.sources.parquet import ParquetImages
from balpoe.data.sources.parquet.image_file import LabelledImageFile
from balpoe.errors import DataError


class ParquetSource(EncodedSource[ParquetImages]):
    """The images of Parquet files."""

    def search_images(self) -> SearchImages:
        """Open the training file, and the validation file if there is one."""
        train, names = _training_file(self._settings)
        return SearchImages(names, train, self._validation(names))

    def final_images(self) -> FinalImages:
        """Open the training file, the test file, and the validation file if there is one."""
        train, names = _training_file(self._settings)
        test = _further_file(self._settings, self._settings.test, names)
        return FinalImages(names, train, test, validation=self._validation(names))

    def _validation(self, names: tuple[str, ...]) -> LabelledImages | None:
        path = self._settings.validation
        return None if path is None else _further_file(self._settings, path, names)


def _training_file(config: ParquetImages) -> tuple[LabelledImages, tuple[str, ...]]:
    """Return the training images and the class names: those of the file, or the indices."""
    file = LabelledImageFile(config.train, config.image_column, config.label_column)
    images = LabelledImages(file, file.labels())
    names = file.class_names()
    # No class may be empty, so without names the number of images bounds the labels.
    require_labels(images, len(images) if names is None else len(names))
    names = names or tuple(str(y) for y in range(images.labels_n.max() + 1))
    require_images(images.labels_n, names, file.path)
    return images, names


def _further_file(config: ParquetImages, path: str, names: tuple[str, ...]) -> LabelledImages:
    file = LabelledImageFile(path, config.image_column, config.label_column)
    if file.class_names() not in (None, names):
        raise DataError(
            f"{path}: has other classes than the training file: write both files with the same "
            f"classes in the same order"
        )
    images = LabelledImages(file, file.labels())
    require_labels(images, len(names))
    return images
