"""The results of each class of predictions: C classes, E experts, N images."""

from __future__ import annotations

import torch
from torch import Tensor

from balpoe.evaluation.class_results import ClassResults, ResultsByPrior
from balpoe.evaluation.input_checks import refuse_non_finite_logits
from balpoe.method.calibration_bins import refuse_impossible_labels
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.method.priors import ExpertPriors, adjust_to_prior


def class_results(logits_nec: Tensor, labels_n: Tensor, *, priors: ExpertPriors) -> ResultsByPrior:
    """Return the results of the product of experts on all test images.

    Raises:
        NonFiniteError: logits are NaN or infinite.
        DataError: there are no images, or a label is no class.
    """
    classes = logits_nec.shape[-1]
    refuse_impossible_labels(labels_n, classes)
    refuse_non_finite_logits(logits_nec)
    product_nc = product_of_experts(logits_nec.to("cpu", torch.float64))
    images_c = torch.bincount(labels_n, minlength=classes)
    known = None
    if images_c.all():
        adjusted_nc = adjust_to_prior(
            product_nc,
            trained_prior_c=priors.of_product(),
            test_prior_c=(images_c / images_c.sum()).double(),
        )
        known = counted(adjusted_nc.argmax(dim=1), labels_n, classes)
    return ResultsByPrior(counted(product_nc.argmax(dim=1), labels_n, classes), known)


def counted(predicted_n: Tensor, labels_n: Tensor, classes: int) -> ClassResults:
    """Return the results of predicted classes, int64 [N]."""
    pairs_p, images_p = torch.unique(labels_n * classes + predicted_n, return_counts=True)
    pairs = ((int(pair) // classes, int(pair) % classes) for pair in pairs_p)
    return ClassResults(classes, dict(zip(pairs, images_p.tolist(), strict=True)))
