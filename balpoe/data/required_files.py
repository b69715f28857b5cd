"""The files that a training reads, for a check on every node of a cluster."""

from __future__ import annotations

from pathlib import Path

from balpoe.config import Configuration
from balpoe.config.model import is_weights_file
from balpoe.errors import DataError


def needed_sizes(configuration: Configuration) -> dict[str, int]:
    """Return the bytes of each file and the number of entries of each folder, by path.

    Sources that can be downloaded are first checked, and downloaded if their settings allow it.
    Weights that have a name are downloaded later, by the trial that needs them.

    Raises:
        DataError: a path is missing.
    """
    data, weights = configuration.data, configuration.model.pretrained
    if data.is_fetched:
        # imports torch, which takes seconds: only for sources that need it
        from balpoe.data.loading import source_of

        source_of(data).fetch()
    sizes = {path: _size(Path(path)) for path in data.paths}
    if weights is not None and is_weights_file(weights):
        sizes[weights] = _size(Path(weights))
    return sizes


def _size(path: Path) -> int:
    try:
        return sum(1 for _ in path.iterdir()) if path.is_dir() else path.stat().st_size
    except OSError as error:
        raise DataError(
            f"{path}: {error.strerror}; copy the data there, or mount the storage that contains it"
        ) from error
