"""Logits on disk, for what needs all images before it can answer for the first of them.

The estimate of a prior reads the likelihood ratios many times: they lie in a file of their own
that is mapped into memory, so that as much of it is kept there as there is room for.

B batch, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from balpoe.atomic_write import storage_error
from balpoe.evaluation.prior_estimation import PriorEstimate, estimate_prior, likelihood_ratios
from balpoe.inference.prediction_file import ScoredImages


class StoredLogits:
    """Keeps the logits of `scored` images in two files of `directory`, (E + 1)·C·4 bytes an image.

    `product` makes the logits [B, C] of a scorer for `trained_prior_c` of those [B, E, C].

    Raises:
        StorageError: the files cannot be written.
    """

    def __init__(
        self,
        scored: Iterator[ScoredImages],
        directory: Path,
        *,
        product: Callable[[Tensor], Tensor],
        trained_prior_c: Tensor,
    ) -> None:
        self._places, self._ratios = directory / "logits.parquet", directory / "ratios.float32"
        self._classes = len(trained_prior_c)
        self._images = 0
        try:
            self._keep(scored, product, trained_prior_c)
        except OSError as error:
            raise storage_error(directory, error) from error

    def estimate_prior(self) -> PriorEstimate:
        """The most likely class frequencies of all the images."""
        ratios = torch.from_file(
            str(self._ratios), shared=False, size=self._images * self._classes, dtype=torch.float32
        )
        return estimate_prior(ratios.view(self._images, self._classes))

    def batches(self) -> Iterator[ScoredImages]:
        """The images again, as they came."""
        with pq.ParquetFile(self._places, page_checksum_verification=True) as file:
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

    def _keep(
        self,
        scored: Iterator[ScoredImages],
        product: Callable[[Tensor], Tensor],
        trained_prior_c: Tensor,
    ) -> None:
        writer: pq.ParquetWriter | None = None
        try:
            with self._ratios.open("wb") as ratios:
                for batch in scored:
                    product_bc = product(batch.logits_bec)
                    kept_bc = likelihood_ratios(product_bc, trained_prior_c=trained_prior_c)
                    ratios.write(kept_bc.numpy().tobytes())
                    table = _table(batch)
                    writer = writer or pq.ParquetWriter(
                        self._places, table.schema, compression="none", write_page_checksum=True
                    )
                    writer.write_table(table)
                    self._images += len(product_bc)
        finally:
            if writer is not None:
                writer.close()


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
