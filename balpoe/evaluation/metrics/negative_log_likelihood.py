"""The negative log-likelihood of the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balpoe.config.metrics import metric

if TYPE_CHECKING:
    from torch import Tensor

    from balpoe.evaluation.predictions import Predictions


@metric("nll", label="NLL", position=60)
def negative_log_likelihood(predictions: Predictions) -> Tensor:
    """The mean of −log p(y|x) over images, in nats."""
    return predictions.image_mean(-predictions.label_log_probabilities_mb)
