"""From a data configuration to its splits, whatever the source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import assert_never

from balpoe.config.data import DataConfig, DigitsLT, GaussianLT, ParquetImages
from balpoe.data import digits, gaussian, parquet
from balpoe.data.splits import FinalSplits, SearchSplits


def with_absolute_paths(config: DataConfig) -> DataConfig:
    """The same source, found from any working directory."""
    if isinstance(config, ParquetImages):
        train, test = (str(Path(path).resolve()) for path in (config.train, config.test))
        return replace(config, train=train, test=test)
    return config


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
            return parquet.search_splits(config)
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
        case ParquetImages():
            return parquet.final_splits(config)
        case _:
            assert_never(config)
