"""The predictions of several scorers for labelled images: what metrics are computed from.

M scorers, B batch, C classes. All tensors are on the CPU, probabilities and weights in float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from balpoe.evaluation.kl_divergence import divergences_to_target
from balpoe.method.calibration_bins import ReliabilityBins, bin_confidences
from balpoe.method.calibration_floor import CalibrationFloor, calibration_floor
from balpoe.method.decisions import decisions
from balpoe.method.long_tailed_counts import ShotGroup


@dataclass(frozen=True, eq=False, kw_only=True)
class MostProbable:
    """The most probable class of each image with `labels_b`, and quantities derived from it.

    `highest_mb` [M, B] is its log-probability, `predicted_mb` int64 [M, B] the class.
    `images_c` [C] are the images of each class. `weights_b` [B] weigh images (all 1, or those of a
    simulated shift), `balanced_weights_b` [B] weigh every class that has images the same.
    `targets_mc` [M, C] are the target priors. `shot_groups` holds the classes of each group.
    """

    highest_mb: Tensor
    predicted_mb: Tensor
    labels_b: Tensor
    images_c: Tensor
    weights_b: Tensor
    balanced_weights_b: Tensor
    targets_mc: Tensor
    shot_groups: Mapping[ShotGroup, Sequence[int]]

    @cached_property
    def correct_mb(self) -> Tensor:
        """Whether the most probable class is the label, bool [M, B]."""
        return self.predicted_mb == self.labels_b

    @cached_property
    def confidence_mb(self) -> Tensor:
        """The largest probability for each image, [M, B]."""
        return self.highest_mb.exp()

    @cached_property
    def class_accuracy_mc(self) -> Tensor:
        """The accuracy on the images of each class, [M, C]; NaN for a class without images."""
        right_mc = torch.zeros(len(self.correct_mb), len(self.images_c), dtype=torch.float64)
        right_mc.index_add_(1, self.labels_b, self.correct_mb.to(torch.float64))
        return right_mc / self.images_c

    @cached_property
    def class_f1_mc(self) -> Tensor:
        """2·TP / (2·TP + FP + FN) of each class by `weights_b`, [M, C]; NaN without images."""
        right_mc, predicted_mc = (
            torch.zeros(len(self.correct_mb), len(self.images_c), dtype=torch.float64)
            for _ in range(2)
        )
        true_c = torch.zeros(len(self.images_c), dtype=torch.float64)
        true_c.index_add_(0, self.labels_b, self.weights_b)
        right_mc.index_add_(1, self.labels_b, self.correct_mb * self.weights_b)
        weights_mb = self.weights_b.expand(len(self.correct_mb), -1)
        predicted_mc.scatter_add_(1, self.predicted_mb, weights_mb)
        f1_mc = 2 * right_mc / (predicted_mc + true_c)
        return torch.where(self.images_c > 0, f1_mc, torch.nan)

    @cached_property
    def bins(self) -> tuple[ReliabilityBins, ...]:
        """The reliability bins of each scorer, with images weighted."""
        return self._bins(self.weights_b)

    @cached_property
    def balanced_bins(self) -> tuple[ReliabilityBins, ...]:
        """The reliability bins of each scorer, with classes weighted."""
        return self._bins(self.balanced_weights_b)

    @cached_property
    def floors(self) -> tuple[CalibrationFloor, ...]:
        """The calibration floor of each scorer, with images weighted."""
        return self._floors(self.weights_b)

    @cached_property
    def balanced_floors(self) -> tuple[CalibrationFloor, ...]:
        """The calibration floor of each scorer, with classes weighted."""
        if torch.equal(self.weights_b, self.balanced_weights_b):
            return self.floors
        return self._floors(self.balanced_weights_b)

    def image_mean(self, values_mb: Tensor) -> Tensor:
        """The mean over images by `weights_b`, [M]."""
        return _weighted_mean(values_mb, self.weights_b)

    def balanced_mean(self, values_mb: Tensor) -> Tensor:
        """The mean over the classes that have images of the mean over their images, [M]."""
        return _weighted_mean(values_mb, self.balanced_weights_b)

    def class_mean(self, values_mc: Tensor) -> Tensor:
        """The mean over the classes whose value is not NaN, [M]."""
        return torch.stack([values_c.nanmean() for values_c in values_mc])

    def per_scorer(self, values: Sequence[float]) -> Tensor:
        """One number for each scorer as a tensor, [M]."""
        return torch.tensor(values, dtype=torch.float64)

    def _bins(self, weights_b: Tensor) -> tuple[ReliabilityBins, ...]:
        return tuple(
            bin_confidences(confidence_b, correct_b, weights_b=weights_b)
            for confidence_b, correct_b in zip(self.confidence_mb, self.correct_mb, strict=True)
        )

    def _floors(self, weights_b: Tensor) -> tuple[CalibrationFloor, ...]:
        return tuple(
            calibration_floor(confidence_b, weights_b) for confidence_b in self.confidence_mb
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictions(MostProbable):
    """The log-probabilities [M, B, C] of all classes too, and quantities derived from them.

    `cost_cc` [C, C] are the costs of decisions by true and predicted class, if there are any.
    """

    log_probabilities_mbc: Tensor
    cost_cc: Tensor | None = None

    @cached_property
    def label_log_probabilities_mb(self) -> Tensor:
        """The log-probability of each label, [M, B]."""
        return self.log_probabilities_mbc[:, torch.arange(len(self.labels_b)), self.labels_b]

    @cached_property
    def costs_mb(self) -> Tensor | None:
        """The cost of the decision of least expected cost for each image, [M, B]."""
        if self.cost_cc is None:
            return None
        decided_mb = decisions(self.log_probabilities_mbc.exp(), self.cost_cc)
        return self.cost_cc[self.labels_b.expand_as(decided_mb), decided_mb]

    @cached_property
    def divergences(self) -> tuple[Tensor, Tensor]:
        """KL from the target priors to the balanced and to the matched marginals, both [M]."""
        return divergences_to_target(
            self.log_probabilities_mbc, self.labels_b, self.images_c, self.targets_mc
        )


def _weighted_mean(values_mb: Tensor, weights_b: Tensor) -> Tensor:
    # one sum per row: a sum over a dimension of the matrix rounds differently
    total = weights_b.sum()
    return torch.stack([(values_b * weights_b).sum() / total for values_b in values_mb])
