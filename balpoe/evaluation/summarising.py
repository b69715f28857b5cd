"""Computation of the summary of predictions that is stored with trials and models.

M scorers: the E experts, then their product. N images, C classes, K bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from balpoe.evaluation.class_counting import counted
from balpoe.evaluation.class_results import ClassResults
from balpoe.evaluation.kl_divergence import balanced_marginals
from balpoe.evaluation.metric_floors import ece_floors
from balpoe.evaluation.prediction_summary import (
    BinnedConfidences,
    PredictionSummary,
    ScorerSummary,
    Split,
    WithoutExpert,
)
from balpoe.evaluation.predictions import Predictions
from balpoe.evaluation.scoring import predictions_of_experts
from balpoe.method.calibration_bins import ReliabilityBins, bin_confidences
from balpoe.method.calibration_floor import CalibrationFloor
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.method.priors import class_prior, mean_lambda, target_prior


def prediction_summary(
    logits_nec: Tensor,
    labels_n: Tensor,
    *,
    split: Split,
    class_names: Sequence[str],
    class_counts: Sequence[int],
    lambdas: Sequence[float],
    metrics: Sequence[str] = (),
) -> PredictionSummary:
    """Return the summary of logits [N, E, C] for all images of a split.

    Args:
        logits_nec: The logits of the experts.
        labels_n: The labels, int64 [N].
        split: The split.
        class_names: The names of the classes.
        class_counts: The training images of each class.
        lambdas: The λ of each expert.
        metrics: Metrics of the ensemble, such as `val/ece`; the floor of each ECE is computed.

    Raises:
        NonFiniteError: logits are NaN or infinite.
        DataError: there are no images, or a label is no class.
    """
    predictions = predictions_of_experts(
        logits_nec,
        labels_n,
        prior_c=class_prior(class_counts),
        lambdas=lambdas,
        class_counts=class_counts,
    )
    *experts, ensemble = _scorers(predictions, (*lambdas, mean_lambda(lambdas)))
    product_nc = product_of_experts(logits_nec.detach().to("cpu", torch.float64))
    trained_prior_c = target_prior(class_prior(class_counts), mean_lambda(lambdas))
    return PredictionSummary(
        split=split,
        class_names=tuple(class_names),
        train_counts_c=tuple(class_counts),
        images_c=tuple(predictions.images_c.tolist()),
        ensemble=ensemble,
        experts=tuple(experts),
        confusion=_confusion(counted(product_nc, predictions.labels_b)),
        disagreement_ee=_disagreement(predictions.predicted_mb[:-1]),
        without_expert_e=_without_each(logits_nec, predictions),
        floors=ece_floors(
            metrics,
            product_nc,
            predictions.labels_b,
            trained_prior_c=trained_prior_c,
            class_counts=class_counts,
        ),
    )


def _scorers(predictions: Predictions, lambdas: Sequence[float]) -> list[ScorerSummary]:
    marginals_mc = balanced_marginals(
        predictions.log_probabilities_mbc, predictions.labels_b, predictions.images_c
    )
    accuracy_m = predictions.image_mean(predictions.correct_mb.double())
    balanced_m = predictions.balanced_mean(predictions.correct_mb.double())
    divergence_m, _ = predictions.divergences
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


def _shot_accuracy(predictions: Predictions, scorer: int) -> dict[str, float]:
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


def _without_each(logits_nec: Tensor, predictions: Predictions) -> tuple[WithoutExpert, ...]:
    count = logits_nec.shape[1]
    if count == 1:
        return ()
    others = ([e for e in range(count) if e != left_out] for left_out in range(count))
    return tuple(_ensemble_of(logits_nec[:, each], predictions) for each in others)


def _ensemble_of(logits_nec: Tensor, predictions: Predictions) -> WithoutExpert:
    """Score the product of these experts; `predictions` give labels and weights."""
    product_nc = product_of_experts(logits_nec.detach().to("cpu", torch.float64))
    highest_n, predicted_n = product_nc.log_softmax(dim=-1).max(dim=-1)
    correct_n = predicted_n == predictions.labels_b
    weights_n = predictions.balanced_weights_b
    bins = bin_confidences(highest_n.exp(), correct_n, weights_b=weights_n)
    accuracy = float((correct_n * weights_n).sum() / weights_n.sum())
    return WithoutExpert(accuracy, bins.ece)
