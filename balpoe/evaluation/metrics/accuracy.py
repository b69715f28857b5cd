"""Accuracy over images, over classes, and over groups of classes by their training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balpoe.config.metrics import metric

if TYPE_CHECKING:
    from torch import Tensor

    from balpoe.evaluation.predictions import Predictions
    from balpoe.method.longtail import ShotGroup


@metric(
    "accuracy",
    label="accuracy",
    short_label="acc.",
    is_fraction=True,
    on_shifts=True,
    position=10,
)
def accuracy(predictions: Predictions) -> Tensor:
    """The share of images that are predicted correctly."""
    return predictions.image_mean(predictions.correct_mb)


@metric("balanced_accuracy", label="balanced", short_label="bal.", is_fraction=True, position=20)
def balanced_accuracy(predictions: Predictions) -> Tensor:
    """The mean accuracy of the classes that have images."""
    return predictions.class_mean(predictions.class_accuracy_mc)


@metric("accuracy_many", label="many", is_fraction=True, position=30)
def accuracy_many(predictions: Predictions) -> Tensor | None:
    """The mean accuracy of the classes with over 100 training images."""
    return _group_accuracy(predictions, "many")


@metric("accuracy_medium", label="medium", is_fraction=True, position=40)
def accuracy_medium(predictions: Predictions) -> Tensor | None:
    """The mean accuracy of the classes with 20 to 100 training images."""
    return _group_accuracy(predictions, "medium")


@metric("accuracy_few", label="few", is_fraction=True, position=50)
def accuracy_few(predictions: Predictions) -> Tensor | None:
    """The mean accuracy of the classes with under 20 training images."""
    return _group_accuracy(predictions, "few")


def _group_accuracy(predictions: Predictions, group: ShotGroup) -> Tensor | None:
    """The mean accuracy of the group's classes that have images, or None if there are none."""
    classes = list(predictions.shot_groups.get(group, ()))
    if not predictions.images_c[classes].any():
        return None
    return predictions.class_mean(predictions.class_accuracy_mc[:, classes])
