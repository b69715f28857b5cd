"""Images a second of an epoch of training, streamed against in memory, and of the decoding alone.

Run it with ``python -m tests.benchmarks.streaming --data ../shared/data``. ResNet-8 in float32,
batch 128, on the first images of CIFAR-10 (JPEG): a network so small that decoding shows. The
contestants take turns.
"""

from __future__ import annotations

import statistics
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click
import torch

from balpoe.config import AugmentationConfig, Configuration, ModelConfig, TrainingConfig
from balpoe.data import Images, load_final_splits
from balpoe.data.decoding.streamed_images import StreamedImages
from balpoe.data.sources.parquet import ParquetImages
from balpoe.data.splits import DataDescription
from balpoe.training.training import Training

BATCH = 128
TO_STREAM = 1e-6  # GiB


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--threads", default=1, show_default=True, help="Of the training; processes too.")
def main(data: Path, rounds: int, threads: int) -> None:
    """Measure and print."""
    torch.set_num_threads(threads)
    source = ParquetImages(
        train=str(data / "cifar10_jpeg_train.parquet"),
        test=str(data / "cifar10_jpeg_test.parquet"),
        imbalance_ratio=100.0,
    )
    in_memory, streamed = (
        load_final_splits(replace(source, in_memory_limit=limit)) for limit in (2.0, TO_STREAM)
    )
    assert isinstance(streamed.train, StreamedImages)
    found: dict[str, list[float]] = {"in memory": [], "streamed": [], "decoding alone": []}
    for _ in range(rounds):
        found["in memory"].append(trained(in_memory.train, source, in_memory.description))
        found["streamed"].append(trained(streamed.train, source, streamed.description))
        found["decoding alone"].append(decoded(streamed.train))
    for name, speeds in found.items():
        median, low, high = statistics.median(speeds), min(speeds), max(speeds)
        click.echo(f"{name:15} {median:8,.0f} images/s ({low:,.0f}..{high:,.0f})")


def trained(images: Images, source: ParquetImages, description: DataDescription) -> float:
    """Images a second in one epoch."""
    training = TrainingConfig(
        epochs=1,
        batch_size=BATCH,
        precision="float32",
        augmentation=AugmentationConfig(crop_padding=4, flip=True),
    )
    configuration = Configuration(
        data=source, model=ModelConfig(backbone="resnet8"), training=training
    )
    run = Training(
        configuration,
        train=images,
        description=description,
        seed=0,
        device=torch.device("cpu"),
    )
    (epoch,) = run.fit()
    return len(images) / epoch.metrics["epoch_seconds"]


def decoded(images: StreamedImages) -> float:
    """Images a second that the processes decode, their start included."""
    started = time.perf_counter()
    with closing(images.in_order(BATCH)) as batches:
        for _ in batches:
            pass
    return len(images) / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
