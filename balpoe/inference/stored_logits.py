"""Logits on disk, for predictions that need all images before the first one is written.

The estimate of a prior reads the likelihood ratios many times, so they are in a file of their
own that is mapped into memory.

B batch, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from balpoe.atomic_write import storage_error
from balpoe.evaluation.prior_estimation import PriorEstimate, estimate_prior, likelihood_ratios
from balpoe.inference.prediction_file import ScoredImages


class StoredLogits:
    """Stores the logits of images in two files of `directory`: (E + 1)·C·4 bytes for each image.

    Args:
        scored: The images.
        directory: A folder for the two files.
        product: Returns the product's logits [B, C] of the experts' logits [B, E, C].
        trained_prior_c: The prior [C] of the product.

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
            self._store(scored, product, trained_prior_c)
        except OSError as error:
            raise storage_error(directory, error) from error

    def estimate_prior(self) -> PriorEstimate:
        """Estimate the class frequencies of all images."""
        ratios = torch.from_file(
            str(self._ratios), shared=False, size=self._images * self._classes, dtype=torch.float32
        )
        return estimate_prior(ratios.view(self._images, self._classes))

    def batches(self) -> Iterator[ScoredImages]:
        """The stored images in their order."""
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

    def _store(
        self,
        scored: Iterator[ScoredImages],
        product: Callable[[Tensor], Tensor],
        trained_prior_c: Tensor,
    ) -> None:
        with ExitStack() as files:
            ratios = files.enter_context(self._ratios.open("wb"))
            writer: pq.ParquetWriter | None = None
            for batch in scored:
                product_bc = product(batch.logits_bec)
                ratios_bc = likelihood_ratios(product_bc, trained_prior_c=trained_prior_c)
                ratios.write(ratios_bc.numpy().tobytes())
                table = _table(batch)
                writer = writer or files.enter_context(
                    pq.ParquetWriter(
                        self._places, table.schema, compression="none", write_page_checksum=True
                    )
                )
                writer.write_table(table)
                self._images += len(product_bc)


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
