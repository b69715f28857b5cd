"""KL divergence from the target prior of a scorer to the marginal that it predicts, in nats.

The marginal is that of class-balanced inputs, or of inputs in the target prior's parts, whatever
the class frequencies of the split.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from balpoe.config.metrics import metric

if TYPE_CHECKING:
    from torch import Tensor

    from balpoe.evaluation.predictions import Predictions


@metric(
    "kl_to_target_prior",
    label="KL to prior, balanced inputs",
    short_label="KL to prior",
    position=90,
)
def kl_to_target_prior(predictions: Predictions) -> Tensor:
    """KL(P_λ ‖ mean over classes of the mean prediction of their images): class-balanced inputs."""
    balanced_m, _ = predictions.divergences
    return balanced_m


@metric(
    "kl_to_target_prior_matched",
    label="KL to prior, matched inputs",
    short_label="KL, matched",
    position=100,
)
def kl_to_target_prior_matched(predictions: Predictions) -> Tensor:
    """KL(P_λ ‖ Σ_y P_λ(y)·mean prediction of class y): inputs in the target prior's parts."""
    _, matched_m = predictions.divergences
    return matched_m
