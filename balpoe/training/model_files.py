"""The files of model directories, read without torch.

`balpoe.training.model_directory` lists them and reads whole models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from balpoe.errors import CorruptFile, StorageError
from balpoe.json_record import read_record

FORMAT = 2
_WITHOUT_PREDICTIONS = 1
_SEED = "seed_"
WEIGHTS, MODEL, METRICS, MANIFEST, CARD = (
    "weights.safetensors",
    "model.json",
    "metrics.json",
    "manifest.json",
    "README.md",
)
TEST_SUMMARY = "test_summary.json"
TEST_PREDICTIONS, VALIDATION_PREDICTIONS, HELD_OUT_PREDICTIONS = (
    "test_predictions.parquet",
    "validation_predictions.parquet",
    "held_out_predictions.parquet",
)
HINT: Final = "restore it or train again"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The sha256 of the other files by name."""

    sha256: Mapping[str, str]


def is_model(path: Path) -> bool:
    """Return whether `path` is a finished model directory."""
    return (path / MANIFEST).is_file()


def seed_directory(path: Path, seed: int) -> Path:
    """Return the directory of the model of one seed in that of a training with several seeds."""
    return path / f"{_SEED}{seed}"


def seed_directories(path: Path) -> tuple[Path, ...]:
    """Return the finished models `seed_<s>` of a training with several seeds, in their order."""
    found = {
        int(child.name.removeprefix(_SEED)): child
        for child in path.glob(f"{_SEED}*")
        if child.name.removeprefix(_SEED).isdecimal() and is_model(child)
    }
    return tuple(found[seed] for seed in sorted(found))


def model_directories(path: Path) -> tuple[Path, ...]:
    """Return the model at `path`, or those of a training with several seeds; empty for neither."""
    return (path,) if is_model(path) else seed_directories(path)


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of the model directory `path`.

    Raises:
        StorageError: there is no finished model at `path`.
        CorruptFile: the manifest is damaged or of another format.
    """
    if not is_model(path):
        raise StorageError(f"{path}: holds no finished model ({MANIFEST} is missing)")
    formats = (FORMAT, _WITHOUT_PREDICTIONS)
    return read_record(path / MANIFEST, Manifest, HINT, formats=formats)


def checked_contents(path: Path, manifest: Manifest, names: Iterable[str]) -> dict[str, bytes]:
    """Return the contents of files of the model directory `path` by name.

    Raises:
        CorruptFile: a file is missing, cannot be read, or is not the one in the manifest.
    """
    contents = {}
    for name in names:
        try:
            contents[name] = (path / name).read_bytes()
        except OSError as error:
            raise CorruptFile(
                f"{path / name}: cannot be read ({error.strerror}); {HINT}"
            ) from error
        if hashlib.sha256(contents[name]).hexdigest() != manifest.sha256.get(name):
            raise changed(path / name)
    return contents


def changed(path: Path) -> CorruptFile:
    """Return the error of a file whose content is not the one in the manifest."""
    return CorruptFile(
        f"{path}: was changed after it was saved (its sha256 differs from the manifest's); {HINT}"
    )
