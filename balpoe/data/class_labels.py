"""Checks of labels and classes, shared by the sources of encoded images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from balpoe.data.decoding.encoded_images import LabelledImages
from balpoe.errors import DataError
from balpoe.method.long_tailed_counts import Indices


def require_labels(images: LabelledImages, classes: int) -> None:
    """Check that every label is the index of a class.

    Raises:
        DataError: A label is too large; the message names its image.
    """
    invalid = np.flatnonzero(images.labels_n >= classes)
    if len(invalid):
        row = invalid[0]
        raise DataError(
            f"{images.source.place(row)}: label {images.labels_n[row]} is out of range: "
            f"it must be from 0 to {classes - 1}"
        )


def require_images(labels_n: Indices, names: Sequence[str], place: str) -> None:
    """Check that every class has a training image.

    Raises:
        DataError: A class is empty; the message names it.
    """
    empty = np.flatnonzero(np.bincount(labels_n, minlength=len(names)) == 0)
    if len(empty):
        raise DataError(
            f"{place}: class {empty[0]} ({names[empty[0]]}) has no training image: add images, or "
            f"number the classes without it"
        )
