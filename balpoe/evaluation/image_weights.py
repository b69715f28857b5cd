"""Weights of images in metrics and in the fit of temperatures.

B batch, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from balpoe.config.shifts import Shift
from balpoe.errors import DataError, NonFiniteError
from balpoe.method.long_tailed_counts import shifted_class_weights


def balanced_weights(labels_b: Tensor, images_c: Tensor) -> Tensor:
    """Return image weights, float64 [B] with mean 1, for which all classes weigh the same.

    An image of class y weighs B / (K·n_y), with K the number of classes that have images. On a
    balanced split every weight is exactly 1.
    """
    return class_weighted(labels_b, images_c, torch.ones(len(images_c)))


def class_weighted(labels_b: Tensor, images_c: Tensor, class_weights_c: Tensor) -> Tensor:
    """Return image weights, float64 [B] with mean 1, for classes with weights w, float [C].

    An image of class y weighs w_y / n_y, up to a common factor. Classes without images have no
    weight; the others keep their proportions.

    Raises:
        NonFiniteError: a class weight is NaN or infinite.
        DataError: a class weight is negative, or no class in the split has one above 0.
    """
    shares_c = _checked_shares(class_weights_c, images_c)
    # multiplied out before dividing: on a balanced split equal classes give exactly 1
    weights_c = shares_c * len(labels_b) / (images_c.clamp(min=1) * shares_c.sum())
    return weights_c[labels_b]


def shift_weights(shift: Shift, class_counts: Sequence[int]) -> Tensor:
    """Return the weights of the classes under a shift, float64 [C]; see `shifted_class_weights`.

    `class_counts` are the training images of each class.
    """
    return torch.tensor(shifted_class_weights(shift, class_counts), dtype=torch.float64)


def effective_sample_size(weights_b: Tensor) -> float:
    """Return (Σw)²/Σw², the number of equally weighted images with the same variance of a mean.

    L. Kish, Survey Sampling, 1965. `weights_b` [B] are non-negative and not all 0.
    """
    return float(weights_b.sum().square() / weights_b.square().sum())


def _checked_shares(class_weights_c: Tensor, images_c: Tensor) -> Tensor:
    assert class_weights_c.shape == images_c.shape
    shares_c = class_weights_c.to("cpu", torch.float64)
    if not torch.isfinite(shares_c).all():
        raise NonFiniteError("class weights: NaN or infinite values cannot weight a class")
    if (shares_c < 0).any():
        lowest = int(shares_c.argmin())
        raise DataError(
            f"class weights must be at least 0, got {float(shares_c[lowest])} for class {lowest}"
        )
    shares_c = torch.where(images_c > 0, shares_c, 0.0)
    if shares_c.sum() == 0:
        raise DataError("class weights: no class in the split has a weight above 0")
    return shares_c
