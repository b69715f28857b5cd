"""The floor of a calibration error by its name: that of perfectly calibrated predictions.

C classes, E experts, N images, B images of a block.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from balpoe.config.metrics import BALANCED
from balpoe.config.shifts import KNOWN_PRIOR, SHIFTS
from balpoe.evaluation.image_blocks import image_blocks
from balpoe.evaluation.image_weights import balanced_weights, class_weighted, shift_weights
from balpoe.method.calibration_floor import calibration_floor
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
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
    logits_nec: Tensor,
    confidence_n: Tensor,
    labels_n: Tensor,
    *,
    trained_prior_c: Tensor,
    class_counts: Sequence[int],
) -> dict[str, float]:
    """Return the floor of each of `metrics` that is an ECE of the ensemble.

    `logits_nec` [N, E, C] are those of the experts; `confidence_n` float64 [N] are the largest
    probabilities of their product, which `trained_prior_c` is the target prior of. With a known
    prior its logits are adjusted to it.
    """
    floors = {}
    for metric in metrics:
        if calibration_error(metric) != "ece" or "/expert_" in metric:
            continue
        assumed_n = confidence_n
        shift = metric.split("/")[1]
        if shift.endswith(KNOWN_PRIOR):
            weights_c = _shift_weights(shift, class_counts)
            assumed_n = _adjusted_confidence(
                logits_nec, trained_prior_c, weights_c / weights_c.sum()
            )
        weights_n = metric_weights(metric, labels_n, class_counts)
        floors[metric] = calibration_floor(assumed_n, weights_n).ece
    return floors


def _adjusted_confidence(
    logits_nec: Tensor, trained_prior_c: Tensor, test_prior_c: Tensor
) -> Tensor:
    """Return the largest probabilities of the product of experts with this prior, float64 [N]."""
    blocks = []
    for _, logits_bec in image_blocks(logits_nec):
        adjusted_bc = adjust_to_prior(
            product_of_experts(logits_bec),
            trained_prior_c=trained_prior_c,
            test_prior_c=test_prior_c,
        )
        blocks.append(adjusted_bc.softmax(dim=-1).amax(dim=-1))
    return torch.cat(blocks)


def _shift_weights(name: str, class_counts: Sequence[int]) -> Tensor:
    """Return the class weights, float64 [C], of a shift such as `forward_10_known_prior`."""
    shift = next(shift for shift in SHIFTS if shift.name == name.removesuffix(KNOWN_PRIOR))
    return shift_weights(shift, class_counts)
