"""Expected and maximum calibration error (Guo et al. 2017, section 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from balpoe.config.metrics import Compute, metric

if TYPE_CHECKING:
    from torch import Tensor

    from balpoe.evaluation.predictions import Predictions


@metric("ece", label="ECE", is_fraction=True, on_shifts=True, floor="ece_floor", position=70)
def expected_calibration_error(predictions: Predictions) -> Tensor:
    """The mean gap between confidence and accuracy over the reliability bins."""
    return predictions.per_scorer([bins.ece for bins in predictions.bins])


@metric(
    "balanced_ece",
    label="balanced ECE",
    short_label="bal. ECE",
    is_fraction=True,
    floor="balanced_ece_floor",
    position=72,
)
def balanced_expected_calibration_error(predictions: Predictions) -> Tensor:
    """The mean gap between confidence and accuracy over the bins, with equal class weights."""
    return predictions.per_scorer([bins.ece for bins in predictions.balanced_bins])


def _floor(name: str, label: str, position: int) -> Callable[[Compute], Compute]:
    return metric(
        name,
        label=label,
        short_label="floor",
        is_fraction=True,
        on_validation=False,
        position=position,
    )


@_floor("ece_floor", "ECE floor", 71)
def expected_calibration_error_floor(predictions: Predictions) -> Tensor:
    """The mean ECE of perfectly calibrated predictions with these confidences and weights."""
    return predictions.per_scorer([floor.ece for floor in predictions.floors])


@_floor("ece_floor_sd", "ECE floor, sd", 71)
def expected_calibration_error_floor_sd(predictions: Predictions) -> Tensor:
    """The standard deviation of that ECE over drawn labels."""
    return predictions.per_scorer([floor.ece_sd for floor in predictions.floors])


@_floor("balanced_ece_floor", "balanced ECE floor", 73)
def balanced_expected_calibration_error_floor(predictions: Predictions) -> Tensor:
    """The floor with classes weighted, as if each class had as many images."""
    return predictions.per_scorer([floor.ece for floor in predictions.balanced_floors])


@_floor("balanced_ece_floor_sd", "balanced ECE floor, sd", 73)
def balanced_expected_calibration_error_floor_sd(predictions: Predictions) -> Tensor:
    """The standard deviation of the balanced ECE over drawn labels."""
    return predictions.per_scorer([floor.ece_sd for floor in predictions.balanced_floors])


@metric("mce", label="MCE", is_fraction=True, position=80)
def maximum_calibration_error(predictions: Predictions) -> Tensor:
    """The largest gap between confidence and accuracy of a reliability bin."""
    return predictions.per_scorer([bins.mce for bins in predictions.bins])


@metric("balanced_mce", label="balanced MCE", short_label="bal. MCE", is_fraction=True, position=82)
def balanced_maximum_calibration_error(predictions: Predictions) -> Tensor:
    """The largest gap between confidence and accuracy of a bin, with equal class weights."""
    return predictions.per_scorer([bins.mce for bins in predictions.balanced_bins])
