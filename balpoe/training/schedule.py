"""The learning rate of every epoch."""

from __future__ import annotations

import math

from balpoe.config import TrainingConfig


def learning_rates(training: TrainingConfig) -> tuple[float, ...]:
    """Return the learning rate of each epoch, from the first to the last.

    Epoch e (from 0) of w epochs of linear warm-up has lr·(e+1)/w. After them, a multi-step
    schedule multiplies by `decay` from each milestone on, and a cosine schedule follows
    lr·(1 + cos(πe/epochs))/2 (METHOD §3, the released code of BalPoE).
    """
    return tuple(_learning_rate(training, epoch) for epoch in range(training.epochs))


def _learning_rate(training: TrainingConfig, epoch: int) -> float:
    warmup_epochs = math.ceil(_epochs(training.warmup, training))
    if epoch < warmup_epochs:
        return training.learning_rate * (epoch + 1) / warmup_epochs
    if training.schedule == "cosine":
        return training.learning_rate * (1 + math.cos(math.pi * epoch / training.epochs)) / 2
    passed = sum(epoch >= epoch_at(share, training) for share in training.milestones)
    return training.learning_rate * training.decay**passed


def epoch_at(share: float, training: TrainingConfig) -> int:
    """Return the epoch (from 0) that begins after a share of the epochs."""
    return round(_epochs(share, training))


def progress(epoch: int, training: TrainingConfig) -> float:
    """Return 0 in the first epoch, 1 in the last of several, and so on in between."""
    return epoch / max(1, training.epochs - 1)


def _epochs(share: float, training: TrainingConfig) -> float:
    # rounded, because 0.1 · 30 is 3.0000000000000004 in binary and `ceil` would return 4
    return round(share * training.epochs, 9)
