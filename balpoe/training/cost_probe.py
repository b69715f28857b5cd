"""An estimate of the time and disk space of a training on this machine, from a few steps."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from balpoe.config import Configuration
from balpoe.data.splits import DataDescription, Images, ImageSet, SearchSplits
from balpoe.training.checkpoint import KEPT, CheckpointDirectory
from balpoe.training.prediction import PREDICTION_BATCH
from balpoe.training.stages import first_stage
from balpoe.training.training import Training

STEPS = 3
SECONDS = 2.0
_MOST_ROUNDS = 30
_MORE = 4


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """The epochs and seconds of a training with its evaluations, and the size of checkpoints."""

    epochs: int
    seconds: float
    checkpoint_bytes: int


def probe(configuration: Configuration, splits: SearchSplits, device: torch.device) -> TrainingCost:
    """Time rounds of a few steps for about two seconds, after a warm-up round, and extrapolate.

    The time of an epoch is proportional to its images, except for the start of a stream. The epochs
    of a second stage count like those of the first, which take longer.
    """
    epochs = configuration.epochs
    start = partial(_short_training, configuration, splits.description, device)
    images = STEPS * configuration.training.batch_size
    seconds = _extrapolated(
        lambda train: _seconds_of_a_round(start(train, None)), splits.train, images
    )
    with tempfile.TemporaryDirectory(prefix="balpoe_probe_") as scratch:
        training = start(splits.train.first(images), CheckpointDirectory(Path(scratch)))
        next(training.fit())
        training.save_checkpoint()
        checkpoint_bytes = max(path.stat().st_size for path in Path(scratch).iterdir())
    evaluation_seconds = _extrapolated(
        partial(_evaluation_seconds, training), splits.validation, PREDICTION_BATCH
    )
    evaluations = -(-epochs // configuration.training.evaluate_every) + 1  # predictions: one
    seconds_of_all = epochs * seconds + evaluations * evaluation_seconds
    return TrainingCost(epochs, seconds_of_all, KEPT * checkpoint_bytes)


def _extrapolated(seconds_of: Callable[[Images], float], images: Images, few: int) -> float:
    """Return the seconds for all images, from those for a few.

    The processes of a stream start in every epoch: the time of the start is what few images take
    beyond the rate that a second, larger measurement shows.
    """
    first = images.first(few)
    seconds = seconds_of(first)
    if isinstance(images, ImageSet):
        return seconds * len(images) / len(first)
    more = images.first(_MORE * few)
    if len(more) == len(first):
        return seconds
    further = (seconds_of(more) - seconds) / (len(more) - len(first))
    return seconds + max(0.0, further) * (len(images) - len(first))


def _short_training(
    configuration: Configuration,
    description: DataDescription,
    device: torch.device,
    train: Images,
    checkpoints: CheckpointDirectory | None,
) -> Training:
    rounds = replace(configuration.training, epochs=_MOST_ROUNDS)
    return Training(
        replace(first_stage(configuration), training=rounds),
        train=train,
        description=description,
        seed=0,
        device=device,
        checkpoints=checkpoints,
    )


def _seconds_of_a_round(training: Training) -> float:
    started = time.monotonic()
    seconds = []
    for result in training.fit():
        seconds.append(result.metrics["epoch_seconds"])
        if len(seconds) > 1 and time.monotonic() - started > SECONDS:
            break
    return statistics.median(seconds[1:])


def _evaluation_seconds(training: Training, images: Images) -> float:
    training.predict(images)
    started = time.perf_counter()
    training.predict(images)
    return time.perf_counter() - started
