"""KL divergence from the target prior of a scorer to the marginal that it predicts, in nats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balpoe.config.metrics import metric

if TYPE_CHECKING:
    from torch import Tensor

    from balpoe.evaluation.predictions import Predictions


@metric("kl_to_target_prior", label="KL to prior", position=90)
def kl_to_target_prior(predictions: Predictions) -> Tensor:
    """With the marginal estimated from classes in equal parts."""
    balanced_m, _ = predictions.divergences
    return balanced_m


@metric("kl_to_target_prior_matched", label="KL, matched", position=100)
def kl_to_target_prior_matched(predictions: Predictions) -> Tensor:
    """With the marginal estimated from classes in the target prior's parts."""
    _, matched_m = predictions.divergences
    return matched_m
