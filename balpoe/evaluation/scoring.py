"""Computation of all metrics of a product of experts and of each expert from their logits.

B batch, E experts, C classes; M = E + 1 scorers: the experts, then their product.
All arithmetic is float64 on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from balpoe.config.metrics import metric_table
from balpoe.evaluation.image_weights import balanced_weights, class_weighted
from balpoe.evaluation.input_checks import refuse_labels_ruled_out, refuse_non_finite_logits
from balpoe.evaluation.predictions import Predictions
from balpoe.method.calibration_bins import ReliabilityBins, refuse_impossible_labels
from balpoe.method.long_tailed_counts import shot_groups
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.method.priors import ExpertPriors, adjust_to_prior


@dataclass(frozen=True, eq=False, slots=True)
class Metrics:
    """The metrics of one scorer on one split.

    `values` holds the single numbers by name, without those that the split does not define; each
    is an attribute too. Accuracies and calibration errors are fractions, `nll` and divergences
    nats. `class_accuracy_c` is float64 [C], NaN for a class without images. `bins` weight images
    (or simulate a shift), `balanced_bins` classes.
    """

    values: Mapping[str, float]
    class_accuracy_c: Tensor
    bins: ReliabilityBins
    balanced_bins: ReliabilityBins

    def __getattr__(self, name: str) -> float:
        if name in metric_table() and name in self.values:
            return self.values[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


@dataclass(frozen=True, eq=False, slots=True)
class Evaluation:
    """The metrics of the product of experts, and of each expert alone."""

    ensemble: Metrics
    experts: tuple[Metrics, ...]

    def scalars(self, split: str) -> dict[str, float]:
        """All single numbers as `<split>/<metric>` and `<split>/expert_<i>/<metric>`."""
        scorers = {split: self.ensemble}
        scorers |= {f"{split}/expert_{i}": expert for i, expert in enumerate(self.experts)}
        return {
            f"{scorer}/{name}": value
            for scorer, scored in scorers.items()
            for name, value in scored.values.items()
        }


def evaluate(
    logits_bec: Tensor,
    labels_b: Tensor,
    *,
    priors: ExpertPriors,
    class_counts: Sequence[int],
    class_weights_c: Tensor | None = None,
    test_prior_c: Tensor | None = None,
    cost_cc: Tensor | None = None,
    is_final: bool = False,
) -> Evaluation:
    """Score logits [B, E, C] against int64 labels [B].

    Args:
        logits_bec: Logits of the experts.
        labels_b: Labels.
        priors: The target priors of the experts.
        class_counts: Training images of each class; they give the shot groups.
        class_weights_c: Class weights [C] that simulate another class distribution: images then
            have these weights in the metrics over images, such as `accuracy` and `ece`. By
            default all images have the same weight.
        test_prior_c: Known test prior [C]; every scorer is adjusted to it from its target prior,
            and it is the target prior of all.
        cost_cc: Costs of decisions [C, C] by true and predicted class; without them there is no
            `expected_cost`.
        is_final: Whether to compute the metrics of final evaluations too, such as `ece_floor`.

    Raises:
        NonFiniteError: logits or class weights are NaN or infinite.
        DataError: no images, a label that is no class or that the test prior rules out, or
            class weights that leave nothing.
    """
    assert logits_bec.shape[1] == priors.count
    labels_b = labels_b.to("cpu")
    refuse_impossible_labels(labels_b, len(class_counts))
    refuse_non_finite_logits(logits_bec)
    predictions = _predictions(
        _scorers(logits_bec),
        labels_b,
        targets_mc=priors.of_scorers_mc,
        class_counts=class_counts,
        class_weights_c=class_weights_c,
        test_prior_c=test_prior_c,
        cost_cc=cost_cc,
    )
    *scored_experts, ensemble = _scored(predictions, is_final=is_final)
    return Evaluation(ensemble, tuple(scored_experts))


def evaluate_product(
    logits_bc: Tensor,
    labels_b: Tensor,
    *,
    trained_prior_c: Tensor,
    class_counts: Sequence[int],
    class_weights_c: Tensor | None = None,
    test_prior_c: Tensor | None = None,
    is_final: bool = False,
) -> Metrics:
    """Score the logits [B, C] of one scorer, such as a product of experts.

    `trained_prior_c` float64 [C] is the prior that it aims at. The other arguments and the
    errors are those of `evaluate`.
    """
    labels_b = labels_b.to("cpu")
    refuse_impossible_labels(labels_b, len(class_counts))
    refuse_non_finite_logits(logits_bc.unsqueeze(1))
    predictions = _predictions(
        logits_bc.detach().to("cpu", torch.float64).unsqueeze(0),
        labels_b,
        targets_mc=trained_prior_c.unsqueeze(0),
        class_counts=class_counts,
        class_weights_c=class_weights_c,
        test_prior_c=test_prior_c,
        cost_cc=None,
    )
    [metrics] = _scored(predictions, is_final=is_final)
    return metrics


def _predictions(
    logits_mbc: Tensor,
    labels_b: Tensor,
    *,
    targets_mc: Tensor,
    class_counts: Sequence[int],
    class_weights_c: Tensor | None,
    test_prior_c: Tensor | None,
    cost_cc: Tensor | None,
) -> Predictions:
    """Return the predictions of M scorers, which aim at the priors `targets_mc`."""
    classes = logits_mbc.shape[-1]
    assert classes == targets_mc.shape[-1] == len(class_counts)
    images_c = torch.bincount(labels_b, minlength=classes)
    weights_b = torch.ones(len(labels_b), dtype=torch.float64)
    if class_weights_c is not None:
        weights_b = class_weighted(labels_b, images_c, class_weights_c)

    if test_prior_c is not None:
        test_prior_c = test_prior_c.to("cpu", torch.float64)
        refuse_labels_ruled_out(images_c, test_prior_c)
        logits_mbc = _adjusted(logits_mbc, targets_mc, test_prior_c)
        targets_mc = (test_prior_c / test_prior_c.sum()).expand_as(targets_mc)
    log_probabilities_mbc = logits_mbc.log_softmax(dim=-1)
    highest_mb, predicted_mb = log_probabilities_mbc.max(dim=-1)
    return Predictions(
        highest_mb=highest_mb,
        predicted_mb=predicted_mb,
        labels_b=labels_b,
        images_c=images_c,
        weights_b=weights_b,
        balanced_weights_b=balanced_weights(labels_b, images_c),
        targets_mc=targets_mc,
        shot_groups=shot_groups(class_counts),
        log_probabilities_mbc=log_probabilities_mbc,
        cost_cc=cost_cc,
    )


def _scored(predictions: Predictions, *, is_final: bool) -> list[Metrics]:
    computed = {
        name: metric.compute(predictions)
        for name, metric in metric_table().items()
        if is_final or metric.on_validation
    }
    defined = {name: values_m for name, values_m in computed.items() if values_m is not None}
    return [
        Metrics(
            {name: float(values_m[m]) for name, values_m in defined.items()},
            predictions.class_accuracy_mc[m],
            predictions.bins[m],
            predictions.balanced_bins[m],
        )
        for m in range(len(predictions.targets_mc))
    ]


def _scorers(logits_bec: Tensor) -> Tensor:
    """The experts' logits and those of their product, [M, B, C]."""
    logits_bec = logits_bec.detach().to("cpu", torch.float64)
    product_bc = product_of_experts(logits_bec)
    return torch.cat([logits_bec.transpose(0, 1), product_bc.unsqueeze(0)])


def _adjusted(logits_mbc: Tensor, trained_priors_mc: Tensor, test_prior_c: Tensor) -> Tensor:
    members = zip(logits_mbc, trained_priors_mc, strict=True)
    return torch.stack(
        [
            adjust_to_prior(logits_bc, trained_prior_c=trained_prior_c, test_prior_c=test_prior_c)
            for logits_bc, trained_prior_c in members
        ]
    )
