"""The most memory that the tensors of a training hold at a time, per shape, on the CPU.

    python -m tests.benchmarks.step_memory --out tests/study/recorded_memory.json

Counted by torch's profiler: every allocation and release of the engine's own steps and evaluation,
without what allocators reserve beyond them.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from balpoe.config import (
    Configuration,
    ExpertsConfig,
    MixupConfig,
    ModelConfig,
    Sharing,
    TrainingConfig,
)
from balpoe.data import SearchSplits, load_search_splits
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.splits import ImageSet
from balpoe.training.training import Training

BACKBONE = "resnet20"
SHARINGS: tuple[Sharing, ...] = ("shared", "independent", "linear")
EXPERTS = (1, 2, 3, 7)
BATCHES = ((32, 1), (128, 1), (128, 4))  # and into how many parts they are divided
_MEMORY_EVENT = "[memory]"


def shapes() -> Iterator[Configuration]:
    """Every configuration that is measured."""
    for sharing, experts, (batch_size, accumulate) in itertools.product(SHARINGS, EXPERTS, BATCHES):
        yield Configuration(
            data=DigitsLT(),
            model=ModelConfig(backbone=BACKBONE),
            experts=ExpertsConfig(count=experts, sharing=sharing),
            mixup=MixupConfig(alpha=0.4),
            training=TrainingConfig(
                epochs=1, batch_size=batch_size, accumulate=accumulate, precision="float32"
            ),
        )


def peak_bytes(configuration: Configuration, splits: SearchSplits) -> int:
    """The peak of one step's training, from its first weight on."""
    count = configuration.training.batch_size
    train = ImageSet(splits.train.images_nhwd[:count], splits.train.labels_n[:count])
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        training = Training(
            configuration,
            train=train,
            description=splits.description,
            seed=0,
            device=torch.device("cpu"),
        )
        for _ in training.fit():
            pass
    assert profiled.profiler is not None
    results = profiled.profiler.kineto_results
    assert results is not None
    changes = [int(event.nbytes()) for event in results.events() if event.name() == _MEMORY_EVENT]
    return max(itertools.accumulate(changes))


def main() -> None:
    """Measure all shapes and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    splits = load_search_splits(DigitsLT())
    figures = []
    for configuration in shapes():
        figures.append(
            {
                "sharing": configuration.experts.sharing,
                "experts": configuration.experts.count,
                "batch_size": configuration.training.batch_size,
                "accumulate": configuration.training.accumulate,
                "bytes": peak_bytes(configuration, splits),
            }
        )
        print(figures[-1], flush=True)
    content = {"torch": torch.__version__, "backbone": BACKBONE, "figures": figures}
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
