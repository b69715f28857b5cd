"""The mean confidence, which exceeds the accuracy of an overconfident scorer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balpoe.config.metrics import metric

if TYPE_CHECKING:
    from torch import Tensor

    from balpoe.evaluation.predictions import Predictions


@metric("confidence", label="mean confidence", short_label="conf.", is_fraction=True, position=65)
def confidence(predictions: Predictions) -> Tensor:
    """The mean of the highest probability over images (NeurIPS 2021, Figure 1)."""
    return predictions.image_mean(predictions.confidence_mb)
