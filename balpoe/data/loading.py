"""From a data configuration to its splits, whatever the source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import assert_never

from balpoe.config.data import DataConfig, DigitsLT, GaussianLT
from balpoe.config.image_sources import (
    Cifar10LT,
    Cifar100LT,
    ImageFolder,
    ImageList,
    ParquetImages,
)
from balpoe.data import encoded_splits
from balpoe.data.encoded_splits import FinalImages
from balpoe.data.sources import cifar, digits, folder, gaussian, image_list, parquet
from balpoe.data.splits import FinalSplits, Images, SearchSplits


def with_absolute_paths(config: DataConfig) -> DataConfig:
    """The same source, found from any working directory."""
    match config:
        case ParquetImages():
            validation = _absolute(config.validation) if config.validation else None
            train, test = _absolute(config.train), _absolute(config.test)
            return replace(config, train=train, validation=validation, test=test)
        case ImageList():
            validation = _absolute(config.validation) if config.validation else None
            train, test = _absolute(config.train), _absolute(config.test)
            root = _absolute(config.root)
            return replace(config, root=root, train=train, validation=validation, test=test)
        case ImageFolder() | Cifar10LT() | Cifar100LT():
            return replace(config, root=_absolute(config.root))
        case DigitsLT() | GaussianLT():
            return config
        case _:
            assert_never(config)


def load_search_splits(config: DataConfig) -> SearchSplits:
    """Training and validation images for a search; the test images are not touched.

    Raises:
        DataError: The images or labels cannot be used; the message names place and cure.
        StorageError: A file cannot be read.
    """
    match config:
        case DigitsLT():
            return digits.search_splits(config)
        case GaussianLT():
            return gaussian.search_splits(config)
        case ParquetImages():
            return encoded_splits.search_splits(config, parquet.search_images(config))
        case ImageFolder():
            return encoded_splits.search_splits(config, folder.search_images(config))
        case ImageList():
            return encoded_splits.search_splits(config, image_list.search_images(config))
        case Cifar10LT() | Cifar100LT():
            return cifar.search_splits(config)
        case _:
            assert_never(config)


def load_final_splits(config: DataConfig) -> FinalSplits:
    """The whole training set that the source defines, and the test set.

    Raises:
        DataError: The images or labels cannot be used; the message names place and cure.
        StorageError: A file cannot be read.
    """
    match config:
        case DigitsLT():
            return digits.final_splits(config)
        case GaussianLT():
            return gaussian.final_splits(config)
        case ParquetImages() | ImageFolder() | ImageList():
            return encoded_splits.final_splits(config, _final_images(config))
        case Cifar10LT() | Cifar100LT():
            return cifar.final_splits(config)
        case _:
            assert_never(config)


def load_test_images(config: DataConfig) -> Images:
    """The test set alone; where images are decoded, the training images are left as they are.

    Raises:
        DataError: The images or labels cannot be used; the message names place and cure.
        StorageError: A file cannot be read.
    """
    match config:
        case ParquetImages() | ImageFolder() | ImageList():
            return encoded_splits.test_images(config, _final_images(config))
        case DigitsLT() | GaussianLT() | Cifar10LT() | Cifar100LT():
            return load_final_splits(config).test
        case _:
            assert_never(config)


def _final_images(config: ParquetImages | ImageFolder | ImageList) -> FinalImages:
    match config:
        case ParquetImages():
            return parquet.final_images(config)
        case ImageFolder():
            return folder.final_images(config)
        case ImageList():
            return image_list.final_images(config)
        case _:
            assert_never(config)


def _absolute(path: str) -> str:
    return str(Path(path).resolve())
