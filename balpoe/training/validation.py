"""The figures of a training on its validation split.

N images, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from balpoe.data.splits import DataDescription, ImageSet
from balpoe.evaluation import distance_to_bayes, evaluate
from balpoe.losses import product_of_experts
from balpoe.priors import class_prior, mean_lambda, target_prior

SPLIT = "val"


def validation_scalars(
    logits_nec: Tensor,
    validation: ImageSet,
    description: DataDescription,
    lambdas: Sequence[float],
) -> dict[str, float]:
    """Every metric of the ensemble and of its experts as `val/...`, classes weighted equally."""
    prior_c = class_prior(description.class_counts)
    evaluation = evaluate(
        logits_nec,
        validation.labels_n,
        prior_c=prior_c,
        lambdas=lambdas,
        class_counts=description.class_counts,
        weighting="classes",
    )
    scalars = evaluation.scalars(SPLIT)
    if validation.log_likelihood_nc is not None:
        distance = distance_to_bayes(
            product_of_experts(logits_nec),
            validation.labels_n,
            validation.log_likelihood_nc,
            target_prior(prior_c, mean_lambda(lambdas)),
        )
        scalars |= distance.scalars(SPLIT)
    return scalars
