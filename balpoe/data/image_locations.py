"""Where the images of a split are stored, so that single images can be looked up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from balpoe.data.decoding.encoded_images import ImageSource
from balpoe.data.decoding.image_names import PackedNames
from balpoe.method.long_tailed_counts import Indices


@dataclass(frozen=True, eq=False, slots=True)
class ImageLocations:
    """The row of each image in its source, int64 [N], and its path.

    Rows count the images of a file, a list or a sorted folder from 0. `packed_paths` are the paths
    of image files, empty where the source knows none.
    """

    rows_n: Indices
    packed_paths: PackedNames | None = None

    def paths(self, start: int, stop: int) -> list[str | None]:
        """Return the paths of some images, None where the source knows none."""
        numbers = range(start, min(stop, len(self.rows_n)))
        if self.packed_paths is None:
            return [None] * len(numbers)
        return [self.packed_paths[number] or None for number in numbers]


def locate_images(source: ImageSource, rows: Indices) -> ImageLocations:
    """Return the locations of these rows of a source."""
    paths = PackedNames(path or "" for path in source.paths(rows))
    return ImageLocations(rows, paths if paths.has_text else None)


def positions(images: int) -> ImageLocations:
    """Return the locations of images that their source only numbers."""
    return ImageLocations(np.arange(images))
