"""Simulation of shifted class distributions on validation images by weights.

A search must not see the shifted test sets, and its validation split is too small to cut long
tails from it: all images are kept and weighted by the frequency of their class.

N images, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from balpoe.config.metrics import shift_metrics
from balpoe.config.shifts import KNOWN_PRIOR, SHIFTS
from balpoe.evaluation.image_weights import shift_weights
from balpoe.evaluation.scoring import evaluate_product
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.method.priors import ExpertPriors


def simulated_shifts(
    logits_nec: Tensor,
    labels_n: Tensor,
    *,
    priors: ExpertPriors,
    class_counts: Sequence[int],
) -> dict[str, float]:
    """Evaluate the product of experts under every shift, without and with the prior known.

    Returns:
        `forward_10/accuracy`, `forward_10_known_prior/accuracy` and so on.

    Raises:
        NonFiniteError: logits are NaN or infinite.
        DataError: a label is no class.
    """
    product_nc = product_of_experts(logits_nec)
    scalars: dict[str, float] = {}
    for shift in SHIFTS:
        weights_c = shift_weights(shift, class_counts)
        for suffix, test_prior_c in (("", None), (KNOWN_PRIOR, weights_c / weights_c.sum())):
            values = evaluate_product(
                product_nc,
                labels_n,
                trained_prior_c=priors.of_product(),
                class_counts=class_counts,
                class_weights_c=weights_c,
                test_prior_c=test_prior_c,
            ).values
            scalars |= {f"{shift.name}{suffix}/{name}": values[name] for name in shift_metrics()}
    return scalars
