"""Whether the files that a training reads are here: cheap enough to ask every node of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

from balpoe.config import Configuration
from balpoe.config.data import DataConfig, DigitsLT, GaussianLT
from balpoe.config.image_sources import (
    Cifar10LT,
    Cifar100LT,
    ImageFolder,
    ImageList,
    ParquetImages,
)
from balpoe.config.model import is_weights_file
from balpoe.errors import DataError


def needed_sizes(configuration: Configuration) -> dict[str, int]:
    """The bytes of each file of images and weights, and the entries of each folder, by path.

    CIFAR is fetched first where it is missing and may be; weights that have a name are fetched
    by the trial that needs them.

    Raises:
        DataError: a path is not here.
    """
    data, weights = configuration.data, configuration.model.pretrained
    if isinstance(data, Cifar10LT | Cifar100LT):
        from balpoe.data.sources import (
            cifar,  # which leads to torch, seconds that the others are spared
        )

        cifar.ensure_present(data)
    sizes = {str(path): _size(path) for path in _paths(data)}
    if weights is not None and is_weights_file(weights):
        sizes[weights] = _size(Path(weights))
    return sizes


def _paths(config: DataConfig) -> Iterator[Path]:
    named: tuple[str | None, ...]
    match config:
        case ParquetImages():
            named = (config.train, config.test, config.validation)
        case ImageList():
            named = (config.root, config.train, config.test, config.validation)
        case ImageFolder() | Cifar10LT() | Cifar100LT():
            named = (config.root,)
        case DigitsLT() | GaussianLT():
            named = ()
        case _:
            assert_never(config)
    yield from (Path(path) for path in named if path is not None)


def _size(path: Path) -> int:
    try:
        return sum(1 for _ in path.iterdir()) if path.is_dir() else path.stat().st_size
    except OSError as error:
        raise DataError(
            f"{path}: {error.strerror}; put the data there, or mount the storage that has it"
        ) from error
