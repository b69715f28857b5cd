"""Images listed in text files, one `path label` per line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from balpoe.config.data import DATA_SOURCES, Channels, FittedImages, ImageSize

PublishedSet = Literal["imagenet_lt", "inaturalist2018"]


@DATA_SOURCES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class ImageList(FittedImages):
    """Images below `root`, listed in text files with one `path label` per line.

    `train`, `test` and the optional `validation` are the lists. If `expected` names a published
    set, the lists must have its class counts.
    """

    reader: ClassVar[str] = "balpoe.data.sources.image_list.images:ListSource"
    path_fields: ClassVar[tuple[str, ...]] = ("root", "train", "test", "validation")

    name: Literal["image_list"] = "image_list"
    root: str
    train: str
    test: str
    validation: str | None = None
    expected: PublishedSet | None = None
    image_size: ImageSize = 32
    channels: Channels = 3
