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
from balpoe.method.long_tailed_counts import ShotGroup


@dataclass(frozen=True, eq=False)
class Predictions:
    """Log-probabilities [M, B, C] for images with `labels_b`, and quantities derived from them.

    `images_c` [C] are the images of each class. `weights_b` [B] weigh images (all 1, or those of a
    simulated shift), `balanced_weights_b` [B] weigh every class that has images the same.
    `targets_mc` [M, C] are the target priors. `shot_groups` holds the classes of each group.
    """

    log_probabilities_mbc: Tensor
    labels_b: Tensor
    images_c: Tensor
    weights_b: Tensor
    balanced_weights_b: Tensor
    targets_mc: Tensor
    shot_groups: Mapping[ShotGroup, Sequence[int]]

    @cached_property
    def correct_mb(self) -> Tensor:
        """Whether the most probable class is the label, bool [M, B]."""
        return self._highest[1] == self.labels_b

    @cached_property
    def label_log_probabilities_mb(self) -> Tensor:
        """The log-probability of each label, [M, B]."""
        return self.log_probabilities_mbc[:, torch.arange(len(self.labels_b)), self.labels_b]

    @cached_property
    def class_accuracy_mc(self) -> Tensor:
        """The accuracy on the images of each class, [M, C]; NaN for a class without images."""
        right_mc = torch.zeros(len(self.correct_mb), len(self.images_c), dtype=torch.float64)
        right_mc.index_add_(1, self.labels_b, self.correct_mb.to(torch.float64))
        return right_mc / self.images_c

    @cached_property
    def bins(self) -> tuple[ReliabilityBins, ...]:
        """The reliability bins of each scorer, with images weighted."""
        return self._bins(self.weights_b)

    @cached_property
    def balanced_bins(self) -> tuple[ReliabilityBins, ...]:
        """The reliability bins of each scorer, with classes weighted."""
        return self._bins(self.balanced_weights_b)

    @cached_property
    def divergences(self) -> tuple[Tensor, Tensor]:
        """KL from the target priors to the balanced and to the matched marginals, both [M]."""
        return divergences_to_target(
            self.log_probabilities_mbc, self.labels_b, self.images_c, self.targets_mc
        )

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

    @cached_property
    def _highest(self) -> tuple[Tensor, Tensor]:
        """The largest log-probability and its class, both [M, B]."""
        highest_mb, predicted_mb = self.log_probabilities_mbc.max(dim=-1)
        return highest_mb, predicted_mb

    def _bins(self, weights_b: Tensor) -> tuple[ReliabilityBins, ...]:
        return tuple(
            bin_confidences(highest_b.exp(), correct_b, weights_b=weights_b)
            for highest_b, correct_b in zip(self._highest[0], self.correct_mb, strict=True)
        )


def _weighted_mean(values_mb: Tensor, weights_b: Tensor) -> Tensor:
    # one sum per row: a sum over a dimension of the matrix rounds differently
    total = weights_b.sum()
    return torch.stack([(values_b * weights_b).sum() / total for values_b in values_mb])
