"""How fast the engine trains, against the loop that people write.

    uv run python -m tests.benchmarks.engine --data ../shared/data

Every run is a process of its own; the contestants take turns, so that a machine that gets
slower slows all of them. Prints a row per contestant: the median of images/s, the median
ratio to the ordinary loop of the same round, the peak memory (PSS) of the main process, the
mean and standard deviation of the last epoch's training loss over the rounds (seeds), the hours
of a trial, and how near its speed comes to the bound of memory (`bytes_floor`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from balpoe.config import (
    AugmentationConfig,
    Configuration,
    ExpertsConfig,
    MixupConfig,
    Precision,
    TrainingConfig,
)
from balpoe.data import SearchSplits, load_final_splits
from balpoe.data.sources.parquet import ParquetImages
from balpoe.training.optimisation import initial_experts
from balpoe.training.precision import autocast_dtype
from balpoe.training.training import Training
from tests.benchmarks.bytes_floor import bytes_per_second, step_bytes
from tests.benchmarks.ordinary_loop import ordinary_epochs

TRIAL_EPOCHS = 200
CONTESTANTS = ("ordinary loop", "engine float32", "engine bfloat16")


def configuration(data: Path, experts: int, epochs: int) -> Configuration:
    """ResNet-32 with experts on a shared backbone, the standard CIFAR-10-LT recipe."""
    return Configuration(
        data=ParquetImages(
            train=str(data / "cifar10_jpeg_train.parquet"),
            test=str(data / "cifar10_jpeg_test.parquet"),
            imbalance_ratio=100,
            mean=(0.4914, 0.4822, 0.4465),
            std=(0.2023, 0.1994, 0.2010),
        ),
        experts=ExpertsConfig(count=experts),
        mixup=MixupConfig(alpha=0.8),
        training=TrainingConfig(
            epochs=epochs,
            augmentation=AugmentationConfig(crop_padding=4, flip=True, rotation_degrees=15),
        ),
    )


def engine_epochs(
    configuration: Configuration, splits: SearchSplits, *, seed: int, device: torch.device
) -> Iterator[tuple[float, float]]:
    """Train, and yield the mean loss and the seconds of each epoch."""
    training = Training(
        configuration,
        train=splits.train,
        description=splits.description,
        seed=seed,
        device=device,
    )
    for result in training.fit():
        yield result.metrics["train/loss"], result.metrics["epoch_seconds"]


class PeakMemory(threading.Thread):
    """Samples the proportional set size of this process, in MiB, until asked."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._done = threading.Event()
        self._peak = 0.0

    def run(self) -> None:
        """Sample five times a second."""
        while not self._done.wait(0.2):
            lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
            kibibytes = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            self._peak = max(self._peak, kibibytes / 1024)

    def stop(self) -> float:
        """The largest sample."""
        self._done.set()
        self.join()
        return self._peak


def run_one(arguments: argparse.Namespace) -> None:
    """One run of one contestant; prints its figures as JSON."""
    torch.set_num_threads(arguments.threads)
    chosen = configuration(arguments.data, arguments.experts, arguments.epochs)
    final = load_final_splits(chosen.data)
    splits = SearchSplits(final.train, final.test, final.description)
    del final
    precision: Precision = "bfloat16" if arguments.run.endswith("bfloat16") else "float32"
    chosen = replace(chosen, training=replace(chosen.training, precision=precision))
    epochs = ordinary_epochs if arguments.run == CONTESTANTS[0] else engine_epochs
    memory = PeakMemory()
    memory.start()
    device = torch.device(arguments.device)
    figures = list(epochs(chosen, splits, seed=arguments.seed, device=device))
    peak = memory.stop()
    seconds = statistics.median(seconds for _, seconds in figures)
    print(
        json.dumps(
            {
                "images_per_second": len(splits.train) / seconds,
                "loss": figures[-1][0],
                "pss_mib": peak,
                "hours": TRIAL_EPOCHS * seconds / 3600,
                "of_floor": floor_seconds(chosen, splits, device) / seconds,
            }
        )
    )


def floor_seconds(
    configuration: Configuration, splits: SearchSplits, device: torch.device
) -> float:
    """What an epoch takes at the least, if memory were all that held it up."""
    training, data = configuration.training, splits.description
    network = initial_experts(configuration, data, seed=0).to(device)
    batch = torch.zeros(training.batch_size, data.channels, data.height, data.width, device=device)
    precision = autocast_dtype(training.precision, device)
    moved = step_bytes(network, batch, precision.itemsize) / training.batch_size
    return moved * len(splits.train) / bytes_per_second(device)


def compare(arguments: argparse.Namespace) -> None:
    """All contestants, round by round, a seed each."""
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    for seed in range(arguments.rounds):
        for name in CONTESTANTS:
            command = [sys.executable, "-m", __spec__.name, *sys.argv[1:]]
            command += ["--run", name, "--seed", str(seed)]
            ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            rows[name].append(json.loads(ended.stdout))
            print(f"round {seed + 1}, {name}: {rows[name][-1]}", file=sys.stderr, flush=True)
    print(
        f"{os.cpu_count()} cores, torch {torch.__version__}, {arguments.device}, "
        f"n = {arguments.rounds}"
    )
    for name in CONTESTANTS:
        speeds = [row["images_per_second"] for row in rows[name]]
        ratios = [
            row["images_per_second"] / yardstick["images_per_second"]
            for row, yardstick in zip(rows[name], rows[CONTESTANTS[0]], strict=True)
        ]
        losses = [row["loss"] for row in rows[name]]
        spread = statistics.stdev(losses) if len(losses) > 1 else float("nan")
        print(
            f"{name:16} {statistics.median(speeds):7.1f} images/s"
            f"  x{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"
            f"  {statistics.median(row['pss_mib'] for row in rows[name]):6.0f} MiB"
            f"  loss {statistics.mean(losses):.4f} ± {spread:.4f}"
            f"  {statistics.median(row['hours'] for row in rows[name]):.2f} h per {TRIAL_EPOCHS}"
            f" epochs, {100 * statistics.median(row['of_floor'] for row in rows[name]):.0f} %"
            f" of the speed that memory allows"
        )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of the CIFAR-10 Parquet files"
    )
    parser.add_argument("--experts", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--run", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    run_one(arguments) if arguments.run else compare(arguments)


if __name__ == "__main__":
    main()
