"""Images augmented a second on one core: a batch at a time against torchvision on PIL images.

Run it with ``python -m tests.benchmarks.augmentation``. Both crop, flip, change and normalise
images of 32x32; ours draws all of it too.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

from balpoe.config import AugmentationConfig, RandAugmentConfig, TrainingConfig
from balpoe.data.splits import ImageSet, Normalisation
from balpoe.training.augmentation.pixel_source import PixelSource
from balpoe.training.draws import EpochDraws

IMAGES, SIDE, BATCH, ROUNDS = 3072, 32, 128, 5
NORMALISATION = Normalisation((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
STANDARD = AugmentationConfig(crop_padding=4, flip=True)

CONTESTANTS: dict[str, tuple[AugmentationConfig, list[Callable[[Any], Any]]]] = {
    "crop and flip": (STANDARD, []),
    "colour jitter": (
        replace(STANDARD, colour_jitter=0.4),
        [transforms.ColorJitter(0.4, 0.4, 0.4)],
    ),
    "AutoAugment": (
        replace(STANDARD, auto_augment=True),
        [transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)],
    ),
    "RandAugment": (
        replace(STANDARD, rand_augment=RandAugmentConfig(operations=2)),
        [transforms.RandAugment(num_ops=2, magnitude=10)],
    ),
}


def ours(images: ImageSet, augmentation: AugmentationConfig) -> float:
    """Images a second, their draws included."""
    source = PixelSource(images, NORMALISATION, augmentation, torch.device("cpu"))
    training = TrainingConfig(batch_size=BATCH, augmentation=augmentation)
    started = time.perf_counter()
    order_n = np.random.default_rng(0).permutation(np.arange(IMAGES, dtype=np.int32))
    labels_n = images.labels_n.numpy()
    (draws,) = EpochDraws(
        training, None, order_n, labels_n, height=SIDE, width=SIDE, seed=0, epoch=0
    )
    for index in range(draws.steps):
        source.batch(draws.step(torch.tensor([index])))
    return IMAGES / (time.perf_counter() - started)


def torchvisions(pictures: list[Image.Image], changes: list[Callable[[Any], Any]]) -> float:
    """Images a second, one after the other, without the cost of worker processes."""
    pipeline = transforms.Compose(
        [
            transforms.RandomCrop(SIDE, padding=4),
            transforms.RandomHorizontalFlip(),
            *changes,
            transforms.ToTensor(),
            transforms.Normalize(NORMALISATION.mean, NORMALISATION.std),
        ]
    )
    started = time.perf_counter()
    for picture in pictures:
        pipeline(picture)
    return IMAGES / (time.perf_counter() - started)


def main() -> None:
    """Let the contestants take turns and print the medians."""
    torch.set_num_threads(1)
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, SIDE, SIDE, 3), dtype=np.uint8)
    images = ImageSet(torch.from_numpy(pixels), torch.zeros(IMAGES, dtype=torch.int64))
    pictures = [Image.fromarray(image) for image in pixels]
    for name, (augmentation, changes) in CONTESTANTS.items():
        rounds = [
            (ours(images, augmentation), torchvisions(pictures, changes)) for _ in range(ROUNDS)
        ]
        mine, theirs = (statistics.median(speeds) for speeds in zip(*rounds, strict=True))
        ratio = statistics.median(one / other for one, other in rounds)
        print(f"{name:14} ours {mine:7,.0f}  torchvision {theirs:7,.0f}  ratio {ratio:.1f}")


if __name__ == "__main__":
    main()
