"""The logits of each expert for a set of images, with the labels, as a Parquet file.

N images, E experts, C classes. One column per expert holds lists of C logits, in float32 or, above
256 MiB, in float16.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from balpoe.parquet_tables import read_table, write_table

FORMAT = 1
FLOAT32_BYTES = 256 * 2**20

_LABEL = "label"


@dataclass(frozen=True, eq=False, slots=True)
class Predictions:
    """`logits_nec` float32 [N, E, C], `labels_n` int64 [N]."""

    logits_nec: NDArray[np.float32]
    labels_n: NDArray[np.int64]


def write_predictions(
    path: Path, predictions: Predictions, *, float32_bytes: int = FLOAT32_BYTES
) -> None:
    """Write `predictions` to `path`; logits larger than `float32_bytes` as float16.

    Raises:
        StorageError: the file cannot be written; its previous content is kept.
    """
    logits_nec: NDArray[np.floating] = predictions.logits_nec
    assert logits_nec.dtype == np.float32
    assert predictions.labels_n.dtype == np.int64
    if logits_nec.nbytes > float32_bytes and _float16_holds(logits_nec):
        logits_nec = logits_nec.astype(np.float16)
    columns = {_LABEL: pa.array(predictions.labels_n)}
    for expert in range(logits_nec.shape[1]):
        flat = pa.array(logits_nec[:, expert].ravel())
        columns[f"expert_{expert}"] = pa.FixedSizeListArray.from_arrays(flat, logits_nec.shape[2])
    write_table(path, pa.table(columns), format_number=FORMAT)


def read_predictions(path: Path) -> Predictions:
    """Read the predictions that `write_predictions` has written.

    Raises:
        CorruptFile: the file is missing, damaged or of another format.
    """
    table = read_table(path, formats=(FORMAT,)).combine_chunks()
    labels_n = table[_LABEL].to_numpy()
    experts = [name for name in table.column_names if name != _LABEL]
    per_expert = [
        table[name].combine_chunks().flatten().to_numpy().reshape(len(labels_n), -1)
        for name in experts
    ]
    return Predictions(np.stack(per_expert, axis=1).astype(np.float32), labels_n)


def label_counts(path: Path) -> tuple[int, ...] | None:
    """Return the images of each class in a file of predictions, None if there is no file.

    Raises:
        CorruptFile: the file is damaged or of another format.
    """
    if not path.exists():
        return None
    table = read_table(path, formats=(FORMAT,), columns=[_LABEL])
    return tuple(np.bincount(table[_LABEL].to_numpy()).tolist())


def _float16_holds(values: NDArray[np.floating]) -> bool:
    return bool(np.abs(values).max(initial=0) <= np.finfo(np.float16).max)
