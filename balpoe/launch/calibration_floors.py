"""The floors of the calibration errors that a study optimises, from its validation images.

C classes, N validation images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from balpoe.config import StudySpec, with_parameters
from balpoe.config.metrics import BALANCED
from balpoe.config.shifts import KNOWN_PRIOR, SHIFTS
from balpoe.evaluation.image_weights import (
    balanced_weights,
    class_weighted,
    effective_sample_size,
    shift_weights,
)
from balpoe.method.calibration_floor import (
    TYPICAL_ACCURACY,
    calibration_floor,
    typical_confidences,
)
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.method.priors import adjust_to_prior, class_prior, mean_lambda, target_prior
from balpoe.study.trials.directory import TrialDirectory
from balpoe.study.trials.record import TrialRecord
from balpoe.study.trials.result_file import read_result_alone
from balpoe.training.predictions_file import read_predictions
from balpoe.training.training import configured_lambdas

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
        error = _error(self.objective).upper()
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
        error = _error(objective)
        if error not in _TYPICAL:
            continue
        weights_n = _weights(objective, labels_n, class_counts)
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


def trial_floors(spec: StudySpec, record: TrialRecord, trial: TrialDirectory) -> dict[str, float]:
    """Return the floor of each objective that is an ECE, from the stored predictions of a trial.

    There are none if the trial has no such file.

    Raises:
        CorruptFile: a file of the trial is damaged or of another format.
    """
    objectives = [name for name in spec.objectives if _error(name) == "ece"]
    if not objectives or not trial.predictions.exists():
        return {}
    class_counts = read_result_alone(trial).class_counts
    if class_counts is None:
        return {}
    predictions = read_predictions(trial.predictions)
    labels_n = torch.tensor(predictions.labels_n)
    logits_nc = product_of_experts(torch.from_numpy(predictions.logits_nec).double())
    lam = mean_lambda(configured_lambdas(with_parameters(spec.base, record.parameters)))
    trained_prior_c = target_prior(class_prior(class_counts), lam)
    floors = {}
    for objective in objectives:
        adjusted_nc = logits_nc
        shift = objective.split("/")[1]
        if shift.endswith(KNOWN_PRIOR):
            weights_c = _shift_weights(shift, class_counts)
            adjusted_nc = adjust_to_prior(
                logits_nc,
                trained_prior_c=trained_prior_c,
                test_prior_c=weights_c / weights_c.sum(),
            )
        confidence_n = adjusted_nc.softmax(dim=-1).amax(dim=-1)
        weights_n = _weights(objective, labels_n, class_counts)
        floors[objective] = calibration_floor(confidence_n, weights_n).ece
    return floors


def _error(objective: str) -> str:
    """Return the metric of an objective without its weighting: `ece` for `val/balanced_ece`."""
    return objective.rpartition("/")[2].removeprefix(BALANCED)


def _weights(objective: str, labels_n: Tensor, class_counts: Sequence[int]) -> Tensor:
    """Return the weights of the images in a calibration error, float64 [N]."""
    images_c = torch.bincount(labels_n, minlength=len(class_counts))
    _, *shifted, metric = objective.split("/")
    if shifted:
        return class_weighted(labels_n, images_c, _shift_weights(shifted[0], class_counts))
    if metric.startswith(BALANCED):
        return balanced_weights(labels_n, images_c)
    return torch.ones(len(labels_n), dtype=torch.float64)


def _shift_weights(name: str, class_counts: Sequence[int]) -> Tensor:
    """Return the class weights, float64 [C], of a shift such as `forward_10_known_prior`."""
    shift = next(shift for shift in SHIFTS if shift.name == name.removesuffix(KNOWN_PRIOR))
    return shift_weights(shift, class_counts)
