"""Images in a folder tree, with one folder for each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from balpoe.config.bounds import Bounds
from balpoe.config.data import DATA_SOURCES, Channels, FittedImages, ImageSize


@DATA_SOURCES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFolder(FittedImages):
    """A tree of image files with a folder for each class, which is named after it.

    `root` has the folders `train`, `test` and optionally `val`, each with the folders of the
    classes. Otherwise `root` has the folders of the classes itself, and `test_share` of the
    images of each class become the test set. Classes are sorted by the code points of their names.
    """

    reader: ClassVar[str] = "balpoe.data.sources.folder.images:FolderSource"
    path_fields: ClassVar[tuple[str, ...]] = ("root",)

    name: Literal["folder"] = "folder"
    root: str
    test_share: Annotated[float, Bounds(above=0, at_most=0.5)] = 0.2
    image_size: ImageSize = 32
    channels: Channels = 3
