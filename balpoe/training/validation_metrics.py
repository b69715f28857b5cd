"""The metrics of a training on its validation split, and its distance to the Bayes rule.

N images, E experts, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from balpoe.config.metrics import class_recall
from balpoe.data.splits import DataDescription, Images
from balpoe.evaluation.bayes_distance import distance_to_bayes
from balpoe.evaluation.scoring import evaluate
from balpoe.evaluation.simulated_shifts import simulated_shifts
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.method.priors import ExpertPriors

SPLIT = "val"


def validation_scalars(
    logits_nec: Tensor,
    validation: Images,
    description: DataDescription,
    priors: ExpertPriors,
    *,
    cost_cc: Tensor | None = None,
    recalls: Sequence[str] = (),
) -> dict[str, float]:
    """Return the metrics of the ensemble and its experts as `val/...`.

    `cost_cc` [C, C] are the costs of decisions. `recalls` are classes whose recall by the ensemble
    is returned as `val/class/<name>/recall`, unless they have no images.
    """
    evaluation = evaluate(
        logits_nec,
        validation.labels_n,
        priors=priors,
        class_counts=description.class_counts,
        cost_cc=cost_cc,
    )
    recall_c = evaluation.ensemble.class_accuracy_c.tolist()
    recall_of = dict(zip(description.class_names, recall_c, strict=True))
    classes = {
        f"{SPLIT}/{class_recall(name)}": recall_of[name]
        for name in recalls
        if not math.isnan(recall_of[name])
    }
    distance = bayes_scalars(logits_nec, validation, priors, SPLIT)
    return {**evaluation.scalars(SPLIT), **classes, **distance}


def shift_scalars(
    logits_nec: Tensor,
    validation: Images,
    description: DataDescription,
    priors: ExpertPriors,
) -> dict[str, float]:
    """Return the metrics of the ensemble with shifted class weights: `val/forward_10/...`, …."""
    shifts = simulated_shifts(
        logits_nec,
        validation.labels_n,
        priors=priors,
        class_counts=description.class_counts,
    )
    return {f"{SPLIT}/{name}": value for name, value in shifts.items()}


def bayes_scalars(
    logits_nec: Tensor, images: Images, priors: ExpertPriors, split: str
) -> dict[str, float]:
    """Return the distance of the ensemble to the Bayes rule; none unless P(x|y) is known."""
    if images.log_likelihood_nc is None:
        return {}
    distance = distance_to_bayes(
        product_of_experts(logits_nec),
        images.labels_n,
        images.log_likelihood_nc,
        priors.of_product(),
    )
    return distance.scalars(split)
