"""The validation predictions of a search trial, which its final models carry.

Choices after the training are made on them: a final training has no validation split. N images,
E experts, C classes.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from balpoe.atomic_write import atomic_writer
from balpoe.errors import CorruptFile
from balpoe.method.priors import ExpertPriors
from balpoe.parquet_tables import sha256_of


@dataclass(frozen=True, slots=True)
class SearchValidation:
    """The meaning of stored validation predictions.

    `class_counts` are the training images of the trial by class, from which its priors follow; a
    final training may have more. `precision` is the format in which the trial computed them; None
    for trials that were run before it was recorded.
    """

    class_counts: tuple[int, ...]
    precision: str | None = None


@dataclass(frozen=True, slots=True)
class ValidationFile:
    """The file in which a trial stores its validation predictions, and their meaning."""

    path: Path
    sha256: str
    about: SearchValidation

    def copy_to(self, path: Path) -> None:
        """Copy the file atomically.

        Raises:
            CorruptFile: the file cannot be read, or has changed.
            StorageError: `path` cannot be written.
        """
        if sha256_of(self.path) != self.sha256:
            raise CorruptFile(f"{self.path}: was changed after the trial; restore it")
        with self.path.open("rb") as source, atomic_writer(path) as copy:
            shutil.copyfileobj(source, copy)


@dataclass(frozen=True, eq=False, slots=True)
class ValidationPredictions:
    """The validation predictions of a model's search trial.

    Attributes:
        logits_nec: The logits of every expert, float32 [N, E, C].
        labels_n: The labels, int64 [N].
        class_counts: The training images of the trial by class.
        priors: The target priors of the experts in the trial.
        precision: The format in which the trial computed the logits, if it is known.
        origin: The trial, as text.
    """

    logits_nec: NDArray[np.float32]
    labels_n: NDArray[np.int64]
    class_counts: tuple[int, ...]
    priors: ExpertPriors
    precision: str | None
    origin: str
