"""CIFAR-10 and CIFAR-100 as torchvision stores them, cut to a long tail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from balpoe.atomic_write import ensure_writable
from balpoe.data.description import describe_final, describe_search
from balpoe.data.encoded_splits import normalisation
from balpoe.data.row_selection import search_rows, training_rows
from balpoe.data.source import Source
from balpoe.data.sources.cifar_lt import Cifar10LT, CifarLT
from balpoe.data.splits import FinalSplits, ImageSet, SearchSplits
from balpoe.errors import DataError
from balpoe.file_lock import held_lock
from balpoe.method.long_tailed_counts import Indices


class Cifar(Source):
    """Splits of CIFAR-10 or CIFAR-100."""

    def __init__(self, settings: CifarLT) -> None:
        self._settings = settings

    def search_splits(self) -> SearchSplits:
        """Return the cut without the validation images, and the validation images."""
        config = self._settings
        archive = _archive(config, train=True)
        split = search_rows(config, np.asarray(archive.targets), len(archive.classes))
        train, validation = _image_set(archive, split.train), _image_set(archive, split.validation)
        return describe_search(train, validation, archive.classes, normalisation(config))

    def final_splits(self) -> FinalSplits:
        """Return the full cut, and the 10,000 test images."""
        config = self._settings
        archive, test = _archive(config, train=True), _archive(config, train=False)
        rows = training_rows(config, np.asarray(archive.targets), len(archive.classes))
        train_images = _image_set(archive, rows)
        test_images = _image_set(test, np.arange(len(test.targets)))
        return describe_final(train_images, test_images, archive.classes, normalisation(config))

    def fetch(self) -> None:
        """Check the files, and download missing ones if `download` is set."""
        _archive(self._settings, train=True)


def _archive(config: CifarLT, *, train: bool) -> Any:
    """Open torchvision's data set; its order gives the same cut as the released code."""
    # the import takes a second, and only this source needs it
    from torchvision.datasets import CIFAR10, CIFAR100

    archive = CIFAR10 if isinstance(config, Cifar10LT) else CIFAR100
    if not config.download:
        return _open_archive(archive, config, train=train, download=False)
    ensure_writable(Path(config.root))
    # trials that start at the same time must not download twice
    with held_lock(Path(config.root) / ".balpoe.lock"):
        return _open_archive(archive, config, train=train, download=True)


def _open_archive(archive: Any, config: CifarLT, *, train: bool, download: bool) -> Any:
    try:
        return archive(config.root, train=train, download=download)
    except (RuntimeError, OSError) as error:
        problem = (
            f"cannot be downloaded: {error}"
            if download
            else "is missing, or fails its checksums: set data.download: true to download it"
        )
        raise DataError(f"{config.root}: {archive.__name__} {problem}") from error


def _image_set(archive: Any, rows: Indices) -> ImageSet:
    images_nhwd: NDArray[np.uint8] = archive.data[rows]
    labels_n = np.asarray(archive.targets, dtype=np.int64)[rows]
    return ImageSet(torch.from_numpy(images_nhwd), torch.from_numpy(labels_n))
