"""Expected and maximum calibration error (Guo et al. 2017, section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balpoe.config.metrics import metric

if TYPE_CHECKING:
    from torch import Tensor

    from balpoe.evaluation.predictions import Predictions


@metric("ece", label="ECE", is_fraction=True, on_shifts=True, position=70)
def expected_calibration_error(predictions: Predictions) -> Tensor:
    """The mean gap between confidence and accuracy over the reliability bins."""
    return predictions.per_scorer([bins.ece for bins in predictions.bins])


@metric("balanced_ece", label="balanced ECE", short_label="bal. ECE", is_fraction=True, position=72)
def balanced_expected_calibration_error(predictions: Predictions) -> Tensor:
    """The same gap with classes weighted, as if each class had as many images."""
    return predictions.per_scorer([bins.ece for bins in predictions.balanced_bins])


@metric("mce", label="MCE", is_fraction=True, position=80)
def maximum_calibration_error(predictions: Predictions) -> Tensor:
    """The largest gap between confidence and accuracy of a reliability bin."""
    return predictions.per_scorer([bins.mce for bins in predictions.bins])


@metric("balanced_mce", label="balanced MCE", short_label="bal. MCE", is_fraction=True, position=82)
def balanced_maximum_calibration_error(predictions: Predictions) -> Tensor:
    """The same gap with classes weighted, as if each class had as many images."""
    return predictions.per_scorer([bins.mce for bins in predictions.balanced_bins])
