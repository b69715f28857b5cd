"""The speed of every loss, mixer and class sampling beside BalPoE's, in one run.

    uv run python -m tests.benchmarks.method_costs

Trains each method on the same long-tailed random images, an epoch at a time: the methods take
turns, in an order that is shuffled in every round, so that a machine that gets slower slows all of
them. Prints a row per method: the median of images/s over the rounds, and the median ratio of its
speed to BalPoE's of the same round, with the lowest and the highest. Losses and mixers have their
default settings.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import torch

from balpoe.config import (
    AugmentationConfig,
    Configuration,
    ExpertsConfig,
    MixupConfig,
    ModelConfig,
    ReweightingConfig,
    TrainingConfig,
)
from balpoe.config.configuration import ClassSampling
from balpoe.config.loss import LOSSES
from balpoe.config.mixing import MIXERS
from balpoe.data.sources.gaussian_lt import GaussianLT
from balpoe.data.splits import DataDescription, ImageSet, Normalisation
from balpoe.method.long_tailed_counts import class_counts
from balpoe.training.training import Training

BALPOE = "BalPoE"
CLASSES, IMBALANCE_RATIO = 10, 100.0


@dataclass(frozen=True, slots=True)
class Data:
    """Random images of a long-tailed training set."""

    images: ImageSet
    description: DataDescription


@dataclass(frozen=True, slots=True)
class Cost:
    """The speeds of a method in images/s, one a round, and their ratios to BalPoE's."""

    speeds: tuple[float, ...]
    ratios: tuple[float, ...]


def balpoe(backbone: str, *, batch_size: int, epochs: int) -> Configuration:
    """BalPoE with three experts on a shared backbone, without mixing."""
    return Configuration(
        data=GaussianLT(),  # never read: the images are given
        model=ModelConfig(backbone=backbone),
        experts=ExpertsConfig(count=3),
        training=TrainingConfig(
            epochs=epochs,
            batch_size=batch_size,
            augmentation=AugmentationConfig(crop_padding=4, flip=True),
        ),
    )


def methods(base: Configuration) -> Mapping[str, Configuration]:
    """BalPoE and the methods of the tables by name, each of which changes one thing of it."""
    return {BALPOE: base, **dict(_changed(base))}


def _changed(base: Configuration) -> Iterator[tuple[str, Configuration]]:
    for name in LOSSES.entries:
        if name != base.loss.name:
            yield f"loss {name}", replace(base, loss=LOSSES[name]())
    yield "re-weighting", replace(base, reweighting=ReweightingConfig(beta=0.9999, start=0))
    for name in MIXERS.entries:
        mixed = replace(base, mixing=MIXERS[name](), mixup=MixupConfig(alpha=1))
        yield f"mixing {name}", mixed
    for sampling in get_args(ClassSampling):
        if sampling != base.training.class_sampling:
            training = replace(base.training, class_sampling=sampling)
            yield f"sampling {sampling}", replace(base, training=training)


def random_data(head_count: int, side: int) -> Data:
    """Colour images of `side` times `side` pixels with an exponential long tail of ratio 100."""
    counts = class_counts(head_count, IMBALANCE_RATIO, CLASSES)
    labels_n = torch.repeat_interleave(torch.arange(CLASSES), torch.tensor(counts))
    generator = torch.Generator().manual_seed(0)
    shape = (len(labels_n), side, side, 3)
    images_nhwd = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    description = DataDescription(
        class_names=tuple(map(str, range(CLASSES))),
        class_counts=counts,
        height=side,
        width=side,
        channels=3,
        normalisation=Normalisation((0.5,) * 3, (0.25,) * 3),
        fingerprint="random",
    )
    return Data(ImageSet(images_nhwd, labels_n), description)


def measure(
    configurations: Mapping[str, Configuration], data: Data, device: torch.device
) -> Mapping[str, Cost]:
    """Train all methods side by side; the first epoch of each warms up and does not count."""
    trainings = {
        name: Training(
            configuration,
            train=data.images,
            description=data.description,
            seed=0,
            device=device,
        ).fit()
        for name, configuration in configurations.items()
    }
    for epochs in trainings.values():
        next(epochs)
    speeds: dict[str, list[float]] = {name: [] for name in trainings}
    order, shuffled = list(trainings), random.Random(0)
    for _ in range(configurations[BALPOE].training.epochs - 1):
        shuffled.shuffle(order)
        for name in order:
            seconds = next(trainings[name]).metrics["epoch_seconds"]
            speeds[name].append(len(data.images) / seconds)
    return {name: Cost(tuple(own), _ratios(own, speeds[BALPOE])) for name, own in speeds.items()}


def _ratios(speeds: Sequence[float], yardstick: Sequence[float]) -> tuple[float, ...]:
    return tuple(own / other for own, other in zip(speeds, yardstick, strict=True))


def table(costs: Mapping[str, Cost]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield "| method | images/s | speed / BalPoE's |"
    yield "|---|---:|---:|"
    for name, cost in costs.items():
        lowest, median, highest = min(cost.ratios), statistics.median(cost.ratios), max(cost.ratios)
        speed = f"{statistics.median(cost.speeds):,.0f}"
        yield f"| {name} | {speed} | {median:.2f} ({lowest:.2f}..{highest:.2f}) |"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--head-count", type=int, default=500, help="images of the first class")
    parser.add_argument("--side", type=int, default=32, help="height and width of the images")
    parser.add_argument("--backbone", default="resnet8")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    base = balpoe(arguments.backbone, batch_size=arguments.batch_size, epochs=arguments.rounds + 1)
    data = random_data(arguments.head_count, arguments.side)
    costs = measure(methods(base), data, torch.device(arguments.device))
    print(
        f"{os.cpu_count()} cores, {arguments.threads} threads, torch {torch.__version__}, "
        f"{arguments.device}, {arguments.backbone}, {len(data.images):,} images of "
        f"{arguments.side}x{arguments.side}, n = {arguments.rounds} rounds\n"
    )
    print("\n".join(table(costs)))


if __name__ == "__main__":
    main()
