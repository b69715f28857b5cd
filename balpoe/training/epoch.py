"""The result of one epoch of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpochResult:
    """The metrics of one finished epoch.

    `epoch` counts finished epochs from 1, `unix_time` (seconds) is its end. `metrics` holds
    `train/loss`, `train/learning_rate`, `epoch_seconds`, `peak_memory_mib` and, if the epoch was
    evaluated, `val/*` and `parameters`, the number of weights.
    """

    epoch: int
    unix_time: float
    metrics: Mapping[str, float]
