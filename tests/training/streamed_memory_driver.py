"""Prints the bytes of own memory of a process in the first steps of a training on a stream.

Two independent experts, so that there are two orders; images of 5x5 that are all one file.
"""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from balpoe.config import (
    AugmentationConfig,
    Configuration,
    ExpertsConfig,
    ModelConfig,
    TrainingConfig,
)
from balpoe.data.decoding.decoded_images import Decoding
from balpoe.data.decoding.encoded_images import EncodedImages, LabelledImages
from balpoe.data.decoding.image_decoding import ImageShape
from balpoe.data.decoding.streamed_images import StreamedImages, stream_rows
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.splits import DataDescription, Normalisation
from balpoe.method.long_tailed_counts import Indices
from balpoe.training.draws import Draws
from balpoe.training.learner import Stepper
from balpoe.training.training import Training

CLASSES = 1000
STEPS = 3
_PIXELS = b"P5 5 5 255 " + bytes(range(25))


class _OneImage:
    """A source of as many images as one asks for."""

    def place(self, row: int) -> str:
        return f"image {row}"

    def paths(self, rows: Indices) -> Iterator[str | None]:
        return (None for _ in rows)

    def encoded_images(self, rows: Indices) -> Iterator[EncodedImages]:
        for start in range(0, len(rows), 1000):
            here = rows[start : start + 1000]
            yield EncodedImages(start + np.arange(len(here)), here, [_PIXELS] * len(here))


class _Measured(Exception):
    pass


def stream(images: int) -> StreamedImages:
    labelled = LabelledImages(_OneImage(), np.arange(images) % CLASSES)
    decoding = Decoding(ImageShape(5, 5, 1), fitted=False, skipped=False, threads=1)
    return stream_rows(labelled, np.arange(images), decoding)


def own_bytes() -> int:
    """Resident memory that no file backs, the order on disk therefore left out."""
    gc.collect()
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def measured(images: int) -> int:
    configuration = Configuration(
        data=DigitsLT(),
        model=ModelConfig(backbone="resnet8"),
        experts=ExpertsConfig(count=2, sharing="independent"),
        training=TrainingConfig(
            batch_size=16,
            augmentation=AugmentationConfig(crop_padding=1, flip=True, rotation_degrees=15),
        ),
    )
    counts = np.full(CLASSES, images // CLASSES).tolist()
    description = DataDescription(
        tuple(map(str, range(CLASSES))),
        tuple(counts),
        5,
        5,
        1,
        Normalisation((0.5,), (0.25,)),
        "one image",
    )
    training = Training(
        configuration,
        train=stream(images),
        description=description,
        seed=0,
        device=torch.device("cpu"),
    )
    step, taken, found = Stepper.step, [], []

    def measure(self: Stepper, draws: Sequence[Draws], index: torch.Tensor, **options: Any) -> None:
        step(self, draws, index, **options)
        taken.append(index)
        if len(taken) == STEPS:
            found.append(own_bytes())
            raise _Measured

    with patch.object(Stepper, "step", measure), suppress(_Measured):
        next(training.fit())
    (own,) = found
    return own


if __name__ == "__main__":
    print(measured(int(sys.argv[1])))
