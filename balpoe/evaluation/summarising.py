"""Computation of the summary of predictions that is stored with trials and models.

M scorers: the E experts, then their product. N images, B images of a block, C classes, K bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from balpoe.evaluation.class_counting import counted
from balpoe.evaluation.class_results import ClassResults
from balpoe.evaluation.image_blocks import image_blocks
from balpoe.evaluation.image_weights import balanced_weights
from balpoe.evaluation.input_checks import refuse_non_finite_logits
from balpoe.evaluation.kl_divergence import LogMixture, divergence
from balpoe.evaluation.metric_floors import ece_floors
from balpoe.evaluation.prediction_summary import (
    BinnedConfidences,
    PredictionSummary,
    ScorerSummary,
    Split,
    WithoutExpert,
)
from balpoe.evaluation.predictions import MostProbable
from balpoe.method.calibration_bins import (
    ReliabilityBins,
    bin_confidences,
    refuse_impossible_labels,
)
from balpoe.method.calibration_floor import CalibrationFloor
from balpoe.method.long_tailed_counts import shot_groups
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.method.priors import ExpertPriors, mean_lambda


def prediction_summary(
    logits_nec: Tensor,
    labels_n: Tensor,
    *,
    split: Split,
    class_names: Sequence[str],
    class_counts: Sequence[int],
    priors: ExpertPriors,
    lambdas: Sequence[float] | None = None,
    metrics: Sequence[str] = (),
) -> PredictionSummary:
    """Return the summary of logits [N, E, C] for all images of a split.

    Args:
        logits_nec: The logits of the experts.
        labels_n: The labels, int64 [N].
        split: The split.
        class_names: The names of the classes.
        class_counts: The training images of each class.
        priors: The target priors of the experts.
        lambdas: The λ of each expert, if its loss uses one.
        metrics: Metrics of the ensemble, such as `val/ece`; the floor of each ECE is computed.

    Raises:
        NonFiniteError: logits are NaN or infinite.
        DataError: there are no images, or a label is no class.
    """
    assert logits_nec.shape[1] == priors.count
    labels_n = labels_n.to("cpu")
    refuse_impossible_labels(labels_n, len(class_counts))
    refuse_non_finite_logits(logits_nec)
    images_c = torch.bincount(labels_n, minlength=len(class_counts))
    weights_n = balanced_weights(labels_n, images_c)
    scores = _scored(logits_nec, weights_n / len(labels_n))
    own = priors.count + 1
    predictions = MostProbable(
        highest_mb=scores.highest_mn[:own],
        predicted_mb=scores.predicted_mn[:own],
        labels_b=labels_n,
        images_c=images_c,
        weights_b=torch.ones_like(weights_n),
        balanced_weights_b=weights_n,
        targets_mc=priors.of_scorers_mc,
        shot_groups=shot_groups(class_counts),
    )
    every = [None] * own if lambdas is None else [*lambdas, mean_lambda(lambdas)]
    *experts, ensemble = _scorers(predictions, every, scores.log_marginals_mc)
    return PredictionSummary(
        split=split,
        class_names=tuple(class_names),
        train_counts_c=tuple(class_counts),
        images_c=tuple(predictions.images_c.tolist()),
        ensemble=ensemble,
        experts=tuple(experts),
        confusion=_confusion(counted(predictions.predicted_mb[-1], labels_n, len(class_counts))),
        disagreement_ee=_disagreement(predictions.predicted_mb[:-1]),
        without_expert_e=tuple(
            _ensemble_of(highest_n.exp(), predicted_n == labels_n, weights_n)
            for highest_n, predicted_n in zip(
                scores.highest_mn[own:], scores.predicted_mn[own:], strict=True
            )
        ),
        floors=ece_floors(
            metrics,
            logits_nec,
            predictions.confidence_mb[-1],
            labels_n,
            trained_prior_c=predictions.targets_mc[-1],
            class_counts=class_counts,
        ),
    )


@dataclass(frozen=True, eq=False, slots=True)
class _Scores:
    """The experts, their product, then the products without each expert if there are several.

    `highest_mn` is the largest log-probability for each image, `predicted_mn` its class,
    `log_marginals_mc` the log of the weighted sums of probabilities of the first E + 1.
    """

    highest_mn: Tensor
    predicted_mn: Tensor
    log_marginals_mc: Tensor


def _scored(logits_nec: Tensor, weights_n: Tensor) -> _Scores:
    images, experts, _ = logits_nec.shape
    everyone = list(range(experts))
    without = [everyone[:e] + everyone[e + 1 :] for e in everyone] if experts > 1 else []
    members = [*([e] for e in everyone), everyone, *without]
    highest_mn = torch.empty(len(members), images, dtype=torch.float64)
    predicted_mn = torch.empty(len(members), images, dtype=torch.int64)
    mixtures = [LogMixture() for _ in range(experts + 1)]
    for rows, logits_bec in image_blocks(logits_nec):
        for m, chosen in enumerate(members):
            logits_bc = product_of_experts(logits_bec[:, chosen])
            log_probabilities_bc = logits_bc.log_softmax(dim=-1)
            highest_mn[m, rows], predicted_mn[m, rows] = log_probabilities_bc.max(dim=-1)
            if m < len(mixtures):
                mixtures[m].add(log_probabilities_bc, weights_n[rows].unsqueeze(0))
    log_marginals_mc = torch.cat([mixture.value() for mixture in mixtures])
    return _Scores(highest_mn, predicted_mn, log_marginals_mc)


def _scorers(
    predictions: MostProbable, lambdas: Sequence[float | None], log_marginals_mc: Tensor
) -> list[ScorerSummary]:
    accuracy_m = predictions.image_mean(predictions.correct_mb.double())
    balanced_m = predictions.balanced_mean(predictions.correct_mb.double())
    divergence_m = divergence(predictions.targets_mc, log_marginals_mc)
    marginals_mc = log_marginals_mc.exp()
    return [
        ScorerSummary(
            lam=lam,
            accuracy=float(accuracy_m[m]),
            balanced_accuracy=float(balanced_m[m]),
            by_images=_binned(predictions.bins[m], predictions.floors[m]),
            by_classes=_binned(predictions.balanced_bins[m], predictions.balanced_floors[m]),
            shot_accuracy=_shot_accuracy(predictions, m),
            recall_c=_numbers(predictions.class_accuracy_mc[m]),
            predicted_c=tuple(
                torch.bincount(
                    predictions.predicted_mb[m], minlength=len(predictions.images_c)
                ).tolist()
            ),
            target_prior_c=tuple(predictions.targets_mc[m].tolist()),
            marginal_c=tuple(marginals_mc[m].tolist()),
            kl_to_target_prior=float(divergence_m[m]),
        )
        for m, lam in enumerate(lambdas)
    ]


def _binned(bins: ReliabilityBins, floor: CalibrationFloor) -> BinnedConfidences:
    return BinnedConfidences(
        images=tuple(bins.counts.tolist()),
        weight=tuple(bins.weights.tolist()),
        confidence=_numbers(bins.confidence),
        accuracy=_numbers(bins.accuracy),
        ece=bins.ece,
        mce=bins.mce,
        ece_floor=floor.ece,
        ece_floor_sd=floor.ece_sd,
    )


def _shot_accuracy(predictions: MostProbable, scorer: int) -> dict[str, float]:
    """Return the mean class accuracy of each shot group that has images."""
    accuracy_c = predictions.class_accuracy_mc[scorer]
    means = {
        group: float(accuracy_c[list(members)].nanmean())
        for group, members in predictions.shot_groups.items()
    }
    return {group: mean for group, mean in means.items() if not math.isnan(mean)}


def _numbers(values: Tensor) -> tuple[float | None, ...]:
    """Return the values, with None for NaN, which JSON does not have."""
    return tuple(None if math.isnan(value) else value for value in values.tolist())


def _confusion(results: ClassResults) -> tuple[tuple[int, int, int], ...]:
    return tuple((*pair, images) for pair, images in sorted(results.confusion.items()))


def _disagreement(predicted_en: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(
        tuple(float((own_n != other_n).double().mean()) for other_n in predicted_en)
        for own_n in predicted_en
    )


def _ensemble_of(confidence_n: Tensor, correct_n: Tensor, weights_n: Tensor) -> WithoutExpert:
    """Score the product of other experts with classes weighted."""
    bins = bin_confidences(confidence_n, correct_n, weights_b=weights_n)
    accuracy = float((correct_n * weights_n).sum() / weights_n.sum())
    return WithoutExpert(accuracy, bins.ece)
