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


@metric("balanced_nll", label="balanced NLL", short_label="bal. NLL", position=62)
def balanced_negative_log_likelihood(predictions: Predictions) -> Tensor:
    """The mean over the classes that have images of the mean of −log p(y|x), in nats."""
    return predictions.balanced_mean(-predictions.label_log_probabilities_mb)
