"""Logits on disk, for predictions that need all images before the first one is written.

B batch, N images, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from balpoe.atomic_write import storage_error
from balpoe.evaluation.prior_estimation import thinning
from balpoe.inference.prediction_file import ScoredImages


class StoredLogits:
    """Stores the logits of images in a file of `directory`: E·C·4 bytes for each image.

    Raises:
        StorageError: the file cannot be written.
    """

    def __init__(self, scored: Iterator[ScoredImages], directory: Path) -> None:
        self._file = directory / "logits.parquet"
        self._images = self._classes = 0
        self._store(scored)

    def thinned_product(self, product: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the logits [N, C] that `product` makes of those of the experts [B, E, C].

        Many images are thinned evenly, as an estimate of their prior needs them.
        """
        step, start, parts = thinning(self._images, self._classes), 0, []
        for batch in self.batches():
            parts.append(product(batch.logits_bec[-start % step :: step]))
            start += len(batch.logits_bec)
        return torch.cat(parts)

    def batches(self) -> Iterator[ScoredImages]:
        """The stored images in their order."""
        with pq.ParquetFile(self._file, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, use_threads=False).combine_chunks()
                flat = torch.from_numpy(
                    table["logits"].combine_chunks().flatten().to_numpy().copy()
                )
                yield ScoredImages(
                    tuple(table["path"].to_pylist()),
                    tuple(table["row"].to_pylist()),
                    flat.view(table.num_rows, -1, self._classes),
                )

    def _store(self, scored: Iterator[ScoredImages]) -> None:
        writer: pq.ParquetWriter | None = None
        try:
            for batch in scored:
                table = _table(batch)
                with self._writing():
                    writer = writer or pq.ParquetWriter(
                        self._file, table.schema, compression="none", write_page_checksum=True
                    )
                    writer.write_table(table)
                self._images += table.num_rows
                self._classes = batch.logits_bec.shape[-1]
        finally:
            if writer is not None:
                with self._writing():
                    writer.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Convert errors of the writer; those of the images keep their type."""
        try:
            yield
        except OSError as error:
            raise storage_error(self._file.parent, error) from error


def _table(batch: ScoredImages) -> pa.Table:
    flat = pa.array(batch.logits_bec.reshape(-1).numpy())
    per_image = batch.logits_bec[0].numel()
    return pa.table(
        {
            "path": pa.array(batch.paths, pa.string()),
            "row": pa.array(batch.rows, pa.int64()),
            "logits": pa.FixedSizeListArray.from_arrays(flat, per_image),
        }
    )
