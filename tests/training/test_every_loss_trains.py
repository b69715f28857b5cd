"""Trainings with every loss: they learn, and resume to the same bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from balpoe.config import AugmentationConfig, Configuration, MixupConfig
from balpoe.config.loss import Loss
from balpoe.data.splits import DataDescription, ImageSet
from balpoe.training.checkpoint import CheckpointDirectory
from balpoe.training.training import Training
from tests.method.losses.every_loss import described, every_loss, suited_to

with_every_loss = pytest.mark.parametrize("loss", list(every_loss()), ids=described)


@with_every_loss
def test_a_training_with_each_loss_learns_images_of_all_classes(
    loss: Loss,
    configuration: Configuration,
    train: ImageSet,
    validation: ImageSet,
    description: DataDescription,
) -> None:
    plain = replace(
        configuration.training,
        epochs=6,
        evaluate_every=6,
        learning_rate=0.02,
        augmentation=AugmentationConfig(),
    )
    training = Training(
        suited_to(loss, replace(configuration, training=plain, mixup=MixupConfig())),
        train=train,
        description=description,
        validation=validation,
        seed=1,
        device=torch.device("cpu"),
    )
    list(training.fit())
    losses = [epoch.metrics["train/loss"] for epoch in training.history]
    assert losses[-1] < losses[0] / 2
    assert training.history[-1].metrics["val/balanced_accuracy"] > 0.9  # chance is 1/3


@with_every_loss
def test_a_training_resumed_when_class_weights_begin_gives_the_same_bits(
    loss: Loss,
    configuration: Configuration,
    train: ImageSet,
    description: DataDescription,
    tmp_path: Path,
) -> None:
    def start(checkpoints: Path | None) -> Training:
        return Training(
            suited_to(loss, configuration),
            train=train,
            description=description,
            seed=1,
            device=torch.device("cpu"),
            checkpoints=None if checkpoints is None else CheckpointDirectory(checkpoints),
        )

    interrupted = start(tmp_path)
    for result in interrupted.fit():
        if result.epoch == configuration.training.epochs / 2:
            break
    interrupted.save_checkpoint()
    resumed, whole = start(tmp_path), start(None)
    for training in (resumed, whole):
        list(training.fit())
    expected = whole.experts.state_dict()
    for name, tensor in resumed.experts.state_dict().items():
        assert torch.equal(tensor, expected[name])
    assert [epoch.metrics["train/loss"] for epoch in resumed.history] == [
        epoch.metrics["train/loss"] for epoch in whole.history
    ]
