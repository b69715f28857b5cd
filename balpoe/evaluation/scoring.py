"""Every metric of a product of experts and of each of its experts, from their logits.

B batch, E experts, C classes; M = E + 1 members: the experts, then their product.
All arithmetic is float64 on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from balpoe.evaluation.divergence import divergences_to_target
from balpoe.evaluation.metrics import Evaluation, Metrics
from balpoe.evaluation.refusals import refuse_labels_ruled_out, refuse_non_finite_logits
from balpoe.evaluation.weights import Weighting, image_weights
from balpoe.method.calibration import bin_confidences, refuse_impossible_labels
from balpoe.method.logit_adjusted_losses import product_of_experts
from balpoe.method.longtail import ShotGroup, shot_groups
from balpoe.method.priors import adjust_to_prior, mean_lambda, target_prior


def evaluate(
    logits_bec: Tensor,
    labels_b: Tensor,
    *,
    prior_c: Tensor,
    lambdas: Sequence[float],
    class_counts: Sequence[int],
    weighting: Weighting = "images",
    class_weights_c: Tensor | None = None,
    test_prior_c: Tensor | None = None,
) -> Evaluation:
    """Score logits [B, E, C] against int64 labels [B].

    `prior_c` [C] is the training prior π and `lambdas` the experts' biases: together the
    target priors P_λ. `class_counts` are the training images of each class, which make the
    shot groups. `weighting` says whether images or classes count the same (validation that is
    not balanced: classes); `class_weights_c` [C] simulates another class distribution instead.
    Where `test_prior_c` [C] is known, every member is adjusted from its P_λ to it, and it is
    the target prior of all.

    Raises:
        NonFiniteError: logits or class weights are NaN or infinite.
        DataError: no images, a label that is no class or that the test prior rules out, or
            class weights that leave nothing.
    """
    _, experts, classes = logits_bec.shape
    assert experts == len(lambdas)
    assert classes == len(prior_c) == len(class_counts)
    labels_b = labels_b.to("cpu")
    refuse_impossible_labels(labels_b, classes)
    refuse_non_finite_logits(logits_bec)
    images_c = torch.bincount(labels_b, minlength=classes)
    weights_b = image_weights(labels_b, images_c, weighting, class_weights_c)

    logits_mbc = _members(logits_bec)
    targets_mc = _target_priors(prior_c, lambdas)
    if test_prior_c is not None:
        test_prior_c = test_prior_c.to("cpu", torch.float64)
        refuse_labels_ruled_out(images_c, test_prior_c)
        logits_mbc = _adjusted(logits_mbc, targets_mc, test_prior_c)
        targets_mc = (test_prior_c / test_prior_c.sum()).expand_as(targets_mc)
    groups = shot_groups(class_counts)
    *scored_experts, ensemble = _score(
        logits_mbc, labels_b, images_c, weights_b, targets_mc, groups
    )
    return Evaluation(ensemble, tuple(scored_experts))


def _members(logits_bec: Tensor) -> Tensor:
    """The experts' logits and those of their product, [M, B, C]."""
    logits_bec = logits_bec.detach().to("cpu", torch.float64)
    product_bc = product_of_experts(logits_bec)
    return torch.cat([logits_bec.transpose(0, 1), product_bc.unsqueeze(0)])


def _target_priors(prior_c: Tensor, lambdas: Sequence[float]) -> Tensor:
    """P_λ of every expert and P_λ̄ of their product (Theorem 1), [M, C]."""
    prior_c = prior_c.to("cpu", torch.float64)
    return torch.stack([target_prior(prior_c, lam) for lam in (*lambdas, mean_lambda(lambdas))])


def _adjusted(logits_mbc: Tensor, trained_priors_mc: Tensor, test_prior_c: Tensor) -> Tensor:
    members = zip(logits_mbc, trained_priors_mc, strict=True)
    return torch.stack(
        [
            adjust_to_prior(logits_bc, trained_prior_c=trained_prior_c, test_prior_c=test_prior_c)
            for logits_bc, trained_prior_c in members
        ]
    )


def _score(
    logits_mbc: Tensor,
    labels_b: Tensor,
    images_c: Tensor,
    weights_b: Tensor,
    targets_mc: Tensor,
    groups: Mapping[ShotGroup, Sequence[int]],
) -> list[Metrics]:
    log_probabilities_mbc = logits_mbc.log_softmax(dim=-1)
    top_mb, predicted_mb = log_probabilities_mbc.max(dim=-1)
    correct_mb = predicted_mb == labels_b
    nll_mb = -log_probabilities_mbc[:, torch.arange(len(labels_b)), labels_b]
    class_accuracy_mc = _class_accuracy(correct_mb, labels_b, images_c)
    divergences = divergences_to_target(log_probabilities_mbc, labels_b, images_c, targets_mc)
    return [
        Metrics(
            accuracy=_mean(correct_mb[m], weights_b),
            balanced_accuracy=float(class_accuracy_mc[m].nanmean()),
            shot_accuracy=_shot_accuracy(class_accuracy_mc[m], groups),
            class_accuracy_c=class_accuracy_mc[m],
            nll=_mean(nll_mb[m], weights_b),
            kl_to_target_prior=float(divergences.balanced_m[m]),
            kl_to_target_prior_matched=float(divergences.matched_m[m]),
            bins=bin_confidences(top_mb[m].exp(), correct_mb[m], weights_b=weights_b),
        )
        for m in range(len(logits_mbc))
    ]


def _mean(values_b: Tensor, weights_b: Tensor) -> float:
    return float((values_b * weights_b).sum() / weights_b.sum())


def _class_accuracy(correct_mb: Tensor, labels_b: Tensor, images_c: Tensor) -> Tensor:
    right_mc = torch.zeros(len(correct_mb), len(images_c), dtype=torch.float64)
    right_mc.index_add_(1, labels_b, correct_mb.to(torch.float64))
    return right_mc / images_c


def _shot_accuracy(
    class_accuracy_c: Tensor, groups: Mapping[ShotGroup, Sequence[int]]
) -> dict[ShotGroup, float]:
    """Mean over the classes of each group that have images; groups without any are left out."""
    means = {
        group: float(class_accuracy_c[list(classes)].nanmean()) for group, classes in groups.items()
    }
    return {group: mean for group, mean in means.items() if not math.isnan(mean)}
