"""The floor of a calibration error by its name: that of perfectly calibrated predictions.

C classes, N images.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from balpoe.config.metrics import BALANCED
from balpoe.config.shifts import KNOWN_PRIOR, SHIFTS
from balpoe.evaluation.image_weights import balanced_weights, class_weighted, shift_weights
from balpoe.method.calibration_floor import calibration_floor
from balpoe.method.priors import adjust_to_prior


def calibration_error(metric: str) -> str:
    """Return a metric without split, shift and weighting: `ece` for `val/balanced_ece`."""
    return metric.rpartition("/")[2].removeprefix(BALANCED)


def metric_weights(metric: str, labels_n: Tensor, class_counts: Sequence[int]) -> Tensor:
    """Return the weights of the images in a metric such as `val/forward_10/ece`, float64 [N]."""
    images_c = torch.bincount(labels_n, minlength=len(class_counts))
    _, *shifted, name = metric.split("/")
    if shifted:
        return class_weighted(labels_n, images_c, _shift_weights(shifted[0], class_counts))
    if name.startswith(BALANCED):
        return balanced_weights(labels_n, images_c)
    return torch.ones(len(labels_n), dtype=torch.float64)


def ece_floors(
    metrics: Sequence[str],
    logits_nc: Tensor,
    labels_n: Tensor,
    *,
    trained_prior_c: Tensor,
    class_counts: Sequence[int],
) -> dict[str, float]:
    """Return the floor of each of `metrics` that is an ECE of the ensemble.

    `logits_nc` float64 [N, C] are those of the product of experts, which `trained_prior_c` is the
    target prior of. With a known prior they are adjusted to it.
    """
    floors = {}
    for metric in metrics:
        if calibration_error(metric) != "ece" or "/expert_" in metric:
            continue
        adjusted_nc = logits_nc
        shift = metric.split("/")[1]
        if shift.endswith(KNOWN_PRIOR):
            weights_c = _shift_weights(shift, class_counts)
            adjusted_nc = adjust_to_prior(
                logits_nc,
                trained_prior_c=trained_prior_c,
                test_prior_c=weights_c / weights_c.sum(),
            )
        confidence_n = adjusted_nc.softmax(dim=-1).amax(dim=-1)
        weights_n = metric_weights(metric, labels_n, class_counts)
        floors[metric] = calibration_floor(confidence_n, weights_n).ece
    return floors


def _shift_weights(name: str, class_counts: Sequence[int]) -> Tensor:
    """Return the class weights, float64 [C], of a shift such as `forward_10_known_prior`."""
    shift = next(shift for shift in SHIFTS if shift.name == name.removesuffix(KNOWN_PRIOR))
    return shift_weights(shift, class_counts)
