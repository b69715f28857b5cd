"""The floors of the calibration errors that a study optimises, from its validation images.

C classes, N validation images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from balpoe.config import StudySpec
from balpoe.evaluation.image_weights import effective_sample_size
from balpoe.evaluation.metric_floors import calibration_error, metric_weights
from balpoe.method.calibration_floor import (
    TYPICAL_ACCURACY,
    calibration_floor,
    typical_confidences,
)

_TYPICAL: Final = {"ece": 0.056, "mce": 0.136}
"""The means of BalPoE on CIFAR-100-LT and CIFAR-10-LT, imbalance ratio 100 (Aimar et al. 2023):
ECE 4.9 and 6.3 % and MCE 11.3 and 15.8 % on the test set (Tables 2 and 9)."""


@dataclass(frozen=True, slots=True)
class ObjectiveFloor:
    """The value of a calibration error that a perfectly calibrated classifier would show.

    Attributes:
        objective: The metric, such as `val/balanced_ece`.
        mean: The mean over drawn labels, a fraction.
        sd: The standard deviation over drawn labels.
        images: The number of validation images.
        effective_images: The effective sample size of these images, with the metric's weights.
        typical: A typical value of the metric.
        has_own_validation: Whether the set has a validation split of its own, so that the study
            cannot choose the number of images.
    """

    objective: str
    mean: float
    sd: float
    images: int
    effective_images: float
    typical: float
    has_own_validation: bool

    def __str__(self) -> str:
        """Return `floor 2.7 ± 0.8 % on 300 validation images (…)`."""
        effective = round(self.effective_images)
        weighted = "" if effective == self.images else f", by their weights {effective}"
        return (
            f"floor {100 * self.mean:.1f} ± {100 * self.sd:.1f} % on {self.images} validation "
            f"images{weighted} (a perfectly calibrated classifier of accuracy {TYPICAL_ACCURACY})"
        )

    @property
    def warning(self) -> str | None:
        """The warning if the floor exceeds half of a typical value, else None."""
        if self.mean <= self.typical / 2:
            return None
        error = calibration_error(self.objective).upper()
        or_more = "" if self.has_own_validation else ", or increase data.validation_per_class"
        return (
            f"objectives.{self.objective}: {self}, more than half of a typical {error} of "
            f"{100 * self.typical:.1f} %: differences between trials may be noise; give "
            f"val/balanced_nll, a proper score, instead{or_more}"
        )


def objective_floors(
    spec: StudySpec,
    labels_n: Tensor,
    class_counts: Sequence[int],
    has_own_validation: bool = False,
) -> Iterator[ObjectiveFloor]:
    """Yield the floor of every objective that is a calibration error.

    `labels_n` are the labels of the validation images, `class_counts` the training images by class.
    """
    confidence_n = typical_confidences(len(labels_n))
    for objective in spec.objectives:
        error = calibration_error(objective)
        if error not in _TYPICAL:
            continue
        weights_n = metric_weights(objective, labels_n, class_counts)
        floor = calibration_floor(confidence_n, weights_n)
        yield ObjectiveFloor(
            objective=objective,
            mean=floor.ece if error == "ece" else floor.mce,
            sd=floor.ece_sd if error == "ece" else floor.mce_sd,
            images=len(labels_n),
            effective_images=effective_sample_size(weights_n),
            typical=_TYPICAL[error],
            has_own_validation=has_own_validation,
        )
