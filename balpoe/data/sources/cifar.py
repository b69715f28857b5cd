"""CIFAR-10 and CIFAR-100 as torchvision stores them, cut to a long tail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from balpoe.atomic_write import ensure_writable
from balpoe.config.image_sources import Cifar10LT, Cifar100LT
from balpoe.data.description import describe_final, describe_search
from balpoe.data.encoded_splits import normalisation
from balpoe.data.row_selection import search_rows, training_rows
from balpoe.data.splits import FinalSplits, ImageSet, SearchSplits
from balpoe.errors import DataError
from balpoe.file_lock import held_lock
from balpoe.method.longtail import Indices


def search_splits(config: Cifar10LT | Cifar100LT) -> SearchSplits:
    """The cut, its head capped to leave validation images; and these.

    Raises:
        DataError: The files are missing or damaged, or cannot be fetched.
    """
    archive = _archive(config, train=True)
    split = search_rows(config, np.asarray(archive.targets), len(archive.classes))
    train, validation = _chosen(archive, split.train), _chosen(archive, split.validation)
    return describe_search(train, validation, archive.classes, normalisation(config))


def final_splits(config: Cifar10LT | Cifar100LT) -> FinalSplits:
    """The full cut, and the 10,000 test images.

    Raises:
        DataError: The files are missing or damaged, or cannot be fetched.
    """
    archive, test = _archive(config, train=True), _archive(config, train=False)
    rows = training_rows(config, np.asarray(archive.targets), len(archive.classes))
    whole = np.arange(len(test.targets))
    return describe_final(
        _chosen(archive, rows), _chosen(test, whole), archive.classes, normalisation(config)
    )


def ensure_present(config: Cifar10LT | Cifar100LT) -> None:
    """Fetch the files where they are missing and may be fetched.

    Raises:
        DataError: The files are missing or damaged, or cannot be fetched.
    """
    _archive(config, train=True)


def _archive(config: Cifar10LT | Cifar100LT, *, train: bool) -> Any:
    """Torchvision's data set; its original order makes the cut that of the released code."""
    # Costs a second, and only this source needs it.
    from torchvision.datasets import CIFAR10, CIFAR100

    archive = CIFAR10 if isinstance(config, Cifar10LT) else CIFAR100
    if not config.download:
        return _opened(archive, config, train=train, download=False)
    ensure_writable(Path(config.root))
    # the trials of a study start at the same time
    with held_lock(Path(config.root) / ".balpoe.lock"):
        return _opened(archive, config, train=train, download=True)


def _opened(archive: Any, config: Cifar10LT | Cifar100LT, *, train: bool, download: bool) -> Any:
    try:
        return archive(config.root, train=train, download=download)
    except (RuntimeError, OSError) as error:
        fault = (
            f"cannot be fetched: {error}"
            if download
            else "is missing, or fails its checksums: data.download: true has it fetched"
        )
        raise DataError(f"{config.root}: {archive.__name__} {fault}") from error


def _chosen(archive: Any, rows: Indices) -> ImageSet:
    images_nhwd: NDArray[np.uint8] = archive.data[rows]
    labels_n = np.asarray(archive.targets, dtype=np.int64)[rows]
    return ImageSet(torch.from_numpy(images_nhwd), torch.from_numpy(labels_n))
