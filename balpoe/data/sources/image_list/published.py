"""The counts of published long-tailed sets, for the setting `expected` of lists.

ImageNet-LT: Liu et al., CVPR 2019. iNaturalist 2018: Van Horn et al., CVPR 2018, whose
validation list is used as test set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from balpoe.data.sources.image_list import PublishedSet
from balpoe.errors import DataError
from balpoe.method.long_tailed_counts import Indices


@dataclass(frozen=True, slots=True)
class _PublishedCounts:
    """The images per split, the classes, and the training images of the extreme classes."""

    images: Mapping[str, int]
    classes: int
    largest: int
    smallest: int


_PUBLISHED: Mapping[PublishedSet, _PublishedCounts] = {
    "imagenet_lt": _PublishedCounts(
        images={"train": 115_846, "validation": 20_000, "test": 50_000},
        classes=1000,
        largest=1280,
        smallest=5,
    ),
    "inaturalist2018": _PublishedCounts(
        images={"train": 437_513, "test": 24_426},
        classes=8142,
        largest=1000,
        smallest=2,
    ),
}


def require_published(name: PublishedSet, split: str, labels_n: Indices, place: str) -> None:
    """Check that the list of a split has the published counts.

    Raises:
        DataError: A count differs; the message names it.
    """
    published = _PUBLISHED[name]
    if split not in published.images:
        raise DataError(
            f"data.{split}: {name} has no such list: leave it out (its published validation "
            f"list is its test set)"
        )
    expected = {"images": published.images[split]}
    actual = {"images": len(labels_n)}
    if split == "train":
        counts_c = np.bincount(labels_n)
        expected |= {
            "classes": published.classes,
            "images in the largest class": published.largest,
            "images in the smallest class": published.smallest,
        }
        actual |= {
            "classes": len(counts_c),
            "images in the largest class": int(counts_c.max()),
            "images in the smallest class": int(counts_c.min()),
        }
    for what, count in expected.items():
        if actual[what] != count:
            raise DataError(
                f"{place}: {name} has {count:,} {what}, but this list has {actual[what]:,}: "
                f"download the published list, or leave out data.expected"
            )
