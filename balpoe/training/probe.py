"""What a training would cost here, from a few of its steps."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from balpoe.config import Configuration
from balpoe.data.splits import ImageSet, SearchSplits
from balpoe.training.checkpoint import KEPT, CheckpointDirectory
from balpoe.training.prediction import PREDICTION_BATCH
from balpoe.training.training import Training

STEPS = 3
SECONDS = 2.0
_MOST_ROUNDS = 30


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """A whole training, every evaluation included, and the checkpoints that it keeps."""

    epochs: int
    seconds: float
    checkpoint_bytes: int


def probe(configuration: Configuration, splits: SearchSplits, device: torch.device) -> TrainingCost:
    """Take rounds of a few steps for about two seconds, after one for practice, and scale up.

    The time of an epoch is taken to be proportional to its images.
    """
    epochs = configuration.training.epochs
    with tempfile.TemporaryDirectory(prefix="balpoe_probe_") as scratch:
        train = _first(splits.train, STEPS * configuration.training.batch_size)
        training = _short_training(configuration, splits, train, device, Path(scratch))
        seconds = _seconds_of_a_round(training) * len(splits.train) / len(train)
        training.save_checkpoint()
        checkpoint_bytes = max(path.stat().st_size for path in Path(scratch).iterdir())
        evaluations = -(-epochs // configuration.training.evaluate_every) + 1  # predictions: one
        seconds_of_all = epochs * seconds + evaluations * _evaluation_seconds(training, splits)
    return TrainingCost(epochs, seconds_of_all, KEPT * checkpoint_bytes)


def _short_training(
    configuration: Configuration,
    splits: SearchSplits,
    train: ImageSet,
    device: torch.device,
    scratch: Path,
) -> Training:
    rounds = replace(configuration.training, epochs=_MOST_ROUNDS)
    return Training(
        replace(configuration, training=rounds),
        train=train,
        description=splits.description,
        seed=0,
        device=device,
        checkpoints=CheckpointDirectory(scratch),
    )


def _seconds_of_a_round(training: Training) -> float:
    started = time.monotonic()
    seconds = []
    for result in training.fit():
        seconds.append(result.metrics["epoch_seconds"])
        if len(seconds) > 1 and time.monotonic() - started > SECONDS:
            break
    return statistics.median(seconds[1:])


def _evaluation_seconds(training: Training, splits: SearchSplits) -> float:
    images = _first(splits.validation, PREDICTION_BATCH)
    training.predict(images)
    started = time.perf_counter()
    training.predict(images)
    return (time.perf_counter() - started) * len(splits.validation) / len(images)


def _first(images: ImageSet, count: int) -> ImageSet:
    return ImageSet(images.images_nhwd[:count], images.labels_n[:count])
