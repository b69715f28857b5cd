"""Predictions as a Parquet file, written atomically and one row group at a time.

    path                 the image file, or the Parquet file that holds the image
    row                  the row in the Parquet file, from 0; null for an image file
    predicted            the name of the most probable class, or of the class of least expected
                         cost if the model has costs
    probability          its probability
    probabilities        those of all classes, in the order of the metadata's `classes`
    logits_expert_<e>    the logits of expert e, if requested

The schema's metadata hold under `balpoe_predictions`, in JSON: `format`, `classes`, `lambdas`,
`model` (its identity) and `prior`, the class frequencies of the probabilities; if the model has
costs, `cost` is their matrix, with a row for each true class.

B batch, E experts, C classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from balpoe.method.decisions import decisions
from balpoe.parquet_tables import row_group_writer

FORMAT = 1
METADATA = b"balpoe_predictions"
_ROW_GROUP_BYTES = 32 * 2**20


@dataclass(frozen=True, eq=False, slots=True)
class ScoredImages:
    """Logits float32 [B, E, C] of images with their files and rows."""

    paths: tuple[str, ...]
    rows: tuple[int | None, ...]
    logits_bec: Tensor


class PredictionWriter:
    """Writes batches of predictions; `with_logits` adds the experts' logits.

    `cost_cc` [C, C] are the costs of decisions by true and predicted class, if there are any.
    """

    def __init__(
        self,
        writer: pq.ParquetWriter,
        class_names: Sequence[str],
        *,
        with_logits: bool,
        cost_cc: Tensor | None,
    ) -> None:
        self._writer = writer
        self._cost_cc = cost_cc
        self._class_names = pa.array(class_names, pa.string())
        self._with_logits = with_logits
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0

    def write(self, scored: ScoredImages, probabilities_bc: Tensor) -> Tensor:
        """Add predictions, and write a row group when there are enough.

        Returns:
            The index of the predicted class of each image, int64 [B].
        """
        winners_b = decisions(probabilities_bc, self._cost_cc)
        probability_b = probabilities_bc.gather(1, winners_b.unsqueeze(1)).squeeze(1)
        columns = [
            pa.array(scored.paths, pa.string()),
            pa.array(scored.rows, pa.int64()),
            self._class_names.take(pa.array(winners_b.numpy())),
            pa.array(probability_b.numpy()),
            _lists(probabilities_bc),
        ]
        if self._with_logits:
            columns += [_lists(logits_bc) for logits_bc in scored.logits_bec.unbind(dim=1)]
        batch = pa.record_batch(columns, schema=self._writer.schema)
        self._waiting.append(batch)
        self._waiting_bytes += batch.nbytes
        if self._waiting_bytes >= _ROW_GROUP_BYTES:
            self.flush()
        return winners_b

    def flush(self) -> None:
        """Write the waiting predictions as a row group."""
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting))
        self._waiting, self._waiting_bytes = [], 0


@contextmanager
def prediction_writer(
    path: Path,
    class_names: Sequence[str],
    *,
    experts: int,
    about: Mapping[str, Any],
    cost_cc: Tensor | None = None,
) -> Iterator[PredictionWriter]:
    """Open a file that appears at `path` when the block ends, unless it raises.

    Args:
        path: The file.
        class_names: The names of the classes.
        experts: The number of experts whose logits are written, 0 for none.
        about: Further metadata.
        cost_cc: The costs of decisions by true and predicted class, if there are any.

    Raises:
        StorageError: the file cannot be written; an earlier file at `path` is unchanged.
    """
    per_class = pa.list_(pa.float32(), len(class_names))
    fields = {
        "path": pa.string(),
        "row": pa.int64(),
        "predicted": pa.string(),
        "probability": pa.float32(),
        "probabilities": per_class,
        **{f"logits_expert_{e}": per_class for e in range(experts)},
    }
    costs = {} if cost_cc is None else {"cost": cost_cc.tolist()}
    content = {"format": FORMAT, "classes": list(class_names), **costs, **about}
    metadata = {METADATA: json.dumps(content)}
    schema = pa.schema(list(fields.items()), metadata)
    with row_group_writer(path, schema, dictionaries=["path", "predicted"]) as parquet:
        writer = PredictionWriter(parquet, class_names, with_logits=experts > 0, cost_cc=cost_cc)
        yield writer
        writer.flush()


def holds_predictions(path: Path) -> bool:
    """Whether a file of any name holds predictions; False if it is damaged."""
    try:
        return METADATA in (pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError):
        return False


def _lists(values_bc: Tensor) -> pa.Array:
    flat = np.ascontiguousarray(values_bc.numpy()).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), values_bc.shape[1])
