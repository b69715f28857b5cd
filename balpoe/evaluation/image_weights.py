"""Weights of images in metrics and in the fit of temperatures.

B batch, C classes.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from balpoe.errors import DataError, NonFiniteError

Weighting = Literal["images", "classes"]


def image_weights(
    labels_b: Tensor, images_c: Tensor, weighting: Weighting, class_weights_c: Tensor | None
) -> Tensor:
    """Return the weight of each image, float64 [B] with mean 1.

    All images have the same weight, or all classes do, or classes have the weights
    `class_weights_c` [C], whatever `weighting` is: an image of class y then weighs w_y / n_y.
    Classes without images have no weight; the others keep their proportions.

    Raises:
        NonFiniteError: a class weight is NaN or infinite.
        DataError: a class weight is negative, or no class in the split has one above 0.
    """
    if class_weights_c is None and weighting == "images":
        return torch.ones(len(labels_b), dtype=torch.float64)
    if class_weights_c is None:
        class_weights_c = torch.ones(len(images_c))
    shares_c = _checked_shares(class_weights_c, images_c)
    # multiplied out before dividing: on a balanced split equal classes give exactly 1
    weights_c = shares_c * len(labels_b) / (images_c.clamp(min=1) * shares_c.sum())
    return weights_c[labels_b]


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
