"""The mean cost of decisions, for configurations with `cost`.

C. Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from balpoe.config.metrics import metric

if TYPE_CHECKING:
    from torch import Tensor

    from balpoe.evaluation.predictions import Predictions


@metric("expected_cost", label="expected cost", short_label="cost", position=110)
def expected_cost(predictions: Predictions) -> Tensor | None:
    """The mean over images of the cost of the class with the least expected cost."""
    costs_mb = predictions.costs_mb
    return None if costs_mb is None else predictions.image_mean(costs_mb)


@metric(
    "balanced_expected_cost", label="balanced expected cost", short_label="bal. cost", position=112
)
def balanced_expected_cost(predictions: Predictions) -> Tensor | None:
    """The mean over the classes that have images of the mean cost of their images."""
    costs_mb = predictions.costs_mb
    return None if costs_mb is None else predictions.balanced_mean(costs_mb)
