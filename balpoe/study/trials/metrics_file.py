"""The metrics of each epoch of a trial as a Parquet file.

It has one row per epoch; a metric that an epoch lacks, because it was not evaluated, is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from balpoe.config.earlier_names import converted_metrics
from balpoe.parquet_tables import format_in, read_table, write_table
from balpoe.study.trials.earlier_records import EARLIER_METRICS, keeps_earlier_names
from balpoe.training.epoch import EpochResult

FORMAT = 2
_EPOCH, _TIME = "epoch", "unix_time"


def write_metrics(path: Path, history: Sequence[EpochResult]) -> None:
    """Write all epochs to `path`.

    Raises:
        StorageError: the file cannot be written; its previous content is kept.
    """
    names = sorted({name for result in history for name in result.metrics})
    columns = {
        _EPOCH: pa.array([result.epoch for result in history], pa.int32()),
        _TIME: pa.array([result.unix_time for result in history], pa.float64()),
    }
    for name in names:
        values = [result.metrics.get(name) for result in history]
        columns[name] = pa.array(values, pa.float64())
    write_table(path, pa.table(columns), format_number=FORMAT)


def read_metrics(path: Path) -> tuple[EpochResult, ...]:
    """Read the epochs that `write_metrics`, or that of an earlier version, has written.

    Raises:
        CorruptFile: the file is missing, damaged or of another format.
    """
    table = read_table(path, formats=(FORMAT, EARLIER_METRICS))
    history = tuple(_epoch_result(row) for row in table.to_pylist())
    if format_in(table.schema) == FORMAT:
        return history
    is_balanced = keeps_earlier_names(path)
    return tuple(
        replace(result, metrics=converted_metrics(result.metrics, is_balanced=is_balanced))
        for result in history
    )


def _epoch_result(row: dict[str, float | None]) -> EpochResult:
    epoch, unix_time = row.pop(_EPOCH), row.pop(_TIME)
    assert epoch is not None
    assert unix_time is not None
    metrics = {name: value for name, value in row.items() if value is not None}
    return EpochResult(int(epoch), unix_time, metrics)
