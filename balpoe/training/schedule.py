"""The learning rate of every epoch."""

from __future__ import annotations

import math

from balpoe.config import TrainingConfig


def learning_rates(training: TrainingConfig) -> tuple[float, ...]:
    """The learning rate of each epoch, from the first to the last.

    Linear warm-up: epoch e (from 0) of w gets lr·(e+1)/w. After it a multi-step schedule
    multiplies by `decay` from each milestone on, and a cosine one follows
    lr·(1 + cos(πe/epochs))/2 (METHOD §3, the released code of BalPoE).
    """
    return tuple(_learning_rate(training, epoch) for epoch in range(training.epochs))


def _learning_rate(training: TrainingConfig, epoch: int) -> float:
    warmup_epochs = math.ceil(_epochs(training.warmup, training))
    if epoch < warmup_epochs:
        return training.learning_rate * (epoch + 1) / warmup_epochs
    if training.schedule == "cosine":
        return training.learning_rate * (1 + math.cos(math.pi * epoch / training.epochs)) / 2
    passed = sum(epoch >= round(_epochs(share, training)) for share in training.milestones)
    return training.learning_rate * training.decay**passed


def _epochs(share: float, training: TrainingConfig) -> float:
    # 0.1 · 30 is 3.0000000000000004 in binary: rounded, or `ceil` would give one epoch more
    return round(share * training.epochs, 9)
