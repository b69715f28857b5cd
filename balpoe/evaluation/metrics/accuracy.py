"""Accuracy over images, over classes, and over groups of classes by their training images."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from balpoe.config.metrics import TOP_5_CLASSES, metric

if TYPE_CHECKING:
    from torch import Tensor

    from balpoe.evaluation.predictions import Predictions
    from balpoe.method.long_tailed_counts import ShotGroup


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


@metric(
    "balanced_accuracy",
    label="balanced accuracy",
    short_label="bal. acc.",
    is_fraction=True,
    position=20,
)
def balanced_accuracy(predictions: Predictions) -> Tensor:
    """The mean accuracy of the classes that have images."""
    return predictions.balanced_mean(predictions.correct_mb)


@metric("macro_f1", label="macro F1", is_fraction=True, position=25)
def macro_f1(predictions: Predictions) -> Tensor:
    """The mean F1 of the classes that have images: 2·TP / (2·TP + FP + FN), images weighted."""
    return predictions.class_mean(predictions.class_f1_mc)


@metric(
    "top_5_accuracy", label="top-5 accuracy", short_label="top 5", is_fraction=True, position=15
)
def top_5_accuracy(predictions: Predictions) -> Tensor | None:
    """The share of images whose class is among the five most probable; from 100 classes on."""
    if len(predictions.images_c) < TOP_5_CLASSES:
        return None
    five_mb5 = predictions.log_probabilities_mbc.topk(5, dim=-1).indices
    return predictions.image_mean((five_mb5 == predictions.labels_b.unsqueeze(1)).any(dim=-1))


def _group_accuracy(group: ShotGroup, predictions: Predictions) -> Tensor | None:
    """The mean accuracy of the group's classes that have images, or None if there are none."""
    classes = list(predictions.shot_groups.get(group, ()))
    if not predictions.images_c[classes].any():
        return None
    return predictions.class_mean(predictions.class_accuracy_mc[:, classes])


_GROUPS: tuple[tuple[int, ShotGroup], ...] = ((30, "many"), (40, "medium"), (50, "few"))
for _position, _group in _GROUPS:
    metric(f"accuracy_{_group}", label=_group, is_fraction=True, position=_position)(
        partial(_group_accuracy, _group)
    )
