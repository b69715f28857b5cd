"""Trainings on a stream against the same in memory, and what they leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from balpoe.config import (
    AugmentationConfig,
    Configuration,
    ExpertsConfig,
    RandAugmentConfig,
    Sharing,
)
from balpoe.data.decoding.streamed_images import StreamedImages
from balpoe.data.splits import DataDescription, Images, ImageSet
from balpoe.errors import WorkerDied
from balpoe.training.checkpoint import CheckpointDirectory
from balpoe.training.learner import Stepper
from balpoe.training.training import Training

POLICIES = AugmentationConfig(
    crop_padding=1,
    flip=True,
    rotation_degrees=15,
    colour_jitter=0.4,
    auto_augment=True,
    rand_augment=RandAugmentConfig(operations=2),
)
RESIZED = AugmentationConfig(resized_crop=7, flip=True)
NOT_COMPARED = {"epoch_seconds", "peak_memory_mib"}
DECODER = b"balpoe.data.decoding.decoding_worker"
Train = Callable[..., Training]
Streamed = Callable[..., StreamedImages]


@pytest.fixture
def start(
    configuration: Configuration,
    validation: ImageSet,
    description: DataDescription,
    streamed: Streamed,
) -> Train:
    short = replace(
        configuration, training=replace(configuration.training, epochs=2, evaluate_every=2)
    )

    def start_training(
        train: Images,
        *,
        sharing: Sharing = "shared",
        augmentation: AugmentationConfig | None = None,
        checkpoints: Path | None = None,
    ) -> Training:
        training = replace(short.training, augmentation=augmentation or short.training.augmentation)
        return Training(
            replace(short, training=training, experts=ExpertsConfig(count=2, sharing=sharing)),
            train=train,
            description=description,
            validation=streamed(validation) if isinstance(train, StreamedImages) else validation,
            seed=3,
            device=torch.device("cpu"),
            checkpoints=CheckpointDirectory(checkpoints) if checkpoints else None,
        )

    return start_training


def finished(training: Training) -> Training:
    list(training.fit())
    return training


def assert_same_bits(ours: Training, theirs: Training, images: ImageSet) -> None:
    expected = theirs.experts.state_dict()
    assert all(
        torch.equal(tensor, expected[name]) for name, tensor in ours.experts.state_dict().items()
    )
    assert torch.equal(ours.predict(images), theirs.predict(images))
    for our_epoch, their_epoch in zip(ours.history, theirs.history, strict=True):
        for name in our_epoch.metrics.keys() - NOT_COMPARED:
            assert our_epoch.metrics[name] == their_epoch.metrics[name], name


@pytest.mark.parametrize("augmentation", [POLICIES, RESIZED], ids=["policies", "resized"])
@pytest.mark.parametrize("sharing", ["shared", "independent"])
def test_a_training_on_a_stream_equals_the_same_in_memory(
    start: Train,
    streamed: Streamed,
    train: ImageSet,
    validation: ImageSet,
    sharing: Sharing,
    augmentation: AugmentationConfig,
) -> None:
    in_memory = finished(start(train, sharing=sharing, augmentation=augmentation))
    stream = finished(start(streamed(train), sharing=sharing, augmentation=augmentation))
    assert_same_bits(stream, in_memory, validation)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_processes_changes_nothing(
    start: Train, streamed: Streamed, train: ImageSet, validation: ImageSet, workers: int
) -> None:
    assert_same_bits(finished(start(streamed(train, workers))), finished(start(train)), validation)


def test_a_training_on_a_stream_continues_from_one_in_memory_and_ends_alike(
    start: Train, streamed: Streamed, train: ImageSet, validation: ImageSet, tmp_path: Path
) -> None:
    interrupted = start(train, sharing="independent", checkpoints=tmp_path)
    next(interrupted.fit())
    interrupted.save_checkpoint()
    resumed = start(streamed(train), sharing="independent", checkpoints=tmp_path)
    assert len(resumed.history) == 1
    whole = finished(start(train, sharing="independent"))
    assert_same_bits(finished(resumed), whole, validation)


def test_between_epochs_no_process_is_there(
    start: Train, streamed: Streamed, train: ImageSet
) -> None:
    for _ in start(streamed(train)).fit():
        assert _decoding_processes() == set()


def test_a_training_whose_process_is_killed_tells_so_and_leaves_none(
    start: Train, streamed: Streamed, train: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Stepper.step

    def kill_and_step(stepper: Stepper, *arguments: Any, **options: Any) -> None:
        for pid in _decoding_processes():
            os.kill(pid, signal.SIGKILL)
        step(stepper, *arguments, **options)

    monkeypatch.setattr(Stepper, "step", kill_and_step)
    with pytest.raises(WorkerDied):
        finished(start(streamed(train)))
    assert _decoding_processes() == set()


def _decoding_processes() -> set[int]:
    """Of this process's children, which other tests may have added to."""
    lists = Path("/proc/self/task").glob("*/children")
    children = {int(pid) for found in lists for pid in found.read_text().split()}
    return {pid for pid in children if DECODER in Path(f"/proc/{pid}/cmdline").read_bytes()}


def test_a_streamed_training_set_takes_at_most_16_bytes_an_image() -> None:
    """The growth of the process's own memory within a step, from 70,000 images to 270,000."""
    few, many = (_own_bytes_within_a_step(images) for images in (70_000, 270_000))
    assert (many - few) / 200_000 < 16


def _own_bytes_within_a_step(images: int) -> int:
    driver = Path(__file__).with_name("streamed_memory_driver.py")
    ran = subprocess.run(
        [sys.executable, str(driver), str(images)], stdout=subprocess.PIPE, text=True, check=True
    )
    return int(ran.stdout)
