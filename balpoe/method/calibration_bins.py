"""Reliability bins, and the expected and maximum calibration error derived from them.

B batch, C classes, K bins. The confidence of an image is its maximum probability. Bin k
holds the confidences in (k/K, (k+1)/K], open below and closed above: a confidence on an edge is
in the lower bin. Edges are the float64 quotients k/K; float32 confidences are compared with them
by their exact value, so float32(1/3) lies above the edge 1/3. No confidence is 0, because the
largest of C probabilities is at least 1/C.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from balpoe.errors import DataError, NonFiniteError

BIN_COUNT: Final = 15
"""The number of the released code; the papers give none."""

ROUNDING = 1e-6  # by which a float32 softmax may exceed 1


@dataclass(frozen=True, eq=False, slots=True)
class ReliabilityBins:
    """The data of a reliability diagram with K bins of equal width.

    `edges` [K + 1] ascend from 0 to 1, `counts` [K] are images without those of weight 0,
    `weights` [K] the shares of the total weight, `accuracy` and `confidence` [K] the weighted
    means in each bin, NaN in an empty bin. Counts are int64, all others float64.
    """

    edges: Tensor
    counts: Tensor
    weights: Tensor
    accuracy: Tensor
    confidence: Tensor

    @property
    def ece(self) -> float:
        """Expected calibration error: the mean gap, bins weighted (Guo et al. 2017, Sec. 2)."""
        filled = self.counts > 0
        return float((self.weights * self._gaps)[filled].sum())

    @property
    def mce(self) -> float:
        """Maximum calibration error: the largest gap of a non-empty bin (same source)."""
        return float(self._gaps[self.counts > 0].max())

    @property
    def _gaps(self) -> Tensor:
        return (self.accuracy - self.confidence).abs()


def reliability_bins(
    probabilities_bc: Tensor,
    labels_b: Tensor,
    *,
    sample_weights_b: Tensor | None = None,
    bin_count: int = BIN_COUNT,
) -> ReliabilityBins:
    """Bin predictions by their maximum probability.

    `probabilities_bc` [B, C] are predicted probabilities, `labels_b` int64 [B] the classes,
    `sample_weights_b` [B] non-negative weights of any scale (None: all equal).

    Raises:
        NonFiniteError: a probability or weight is NaN or infinite.
        DataError: nothing to bin, or a probability, label or weight out of its range.
    """
    _refuse_impossible_probabilities(probabilities_bc)
    refuse_impossible_labels(labels_b, probabilities_bc.shape[1])
    confidence_b, predicted_b = probabilities_bc.to(torch.float64).max(dim=1)
    weights_b = _checked_weights(sample_weights_b, confidence_b)
    return bin_confidences(
        confidence_b, predicted_b == labels_b, weights_b=weights_b, bin_count=bin_count
    )


def bin_confidences(
    confidence_b: Tensor, correct_b: Tensor, *, weights_b: Tensor, bin_count: int = BIN_COUNT
) -> ReliabilityBins:
    """Bin float64 confidences [B] of predictions that are correct or not (bool [B]).

    `weights_b` are finite, non-negative and not all 0.
    """
    bin_b = bin_indices(confidence_b, bin_count)

    def total(values_b: Tensor) -> Tensor:
        return torch.bincount(bin_b, weights=values_b, minlength=bin_count)

    weight = total(weights_b)
    return ReliabilityBins(
        edges=_edges(bin_count).to(confidence_b.device),
        counts=torch.bincount(bin_b[weights_b > 0], minlength=bin_count),
        weights=weight / weights_b.sum(),
        accuracy=total(weights_b * correct_b) / weight,
        confidence=total(weights_b * confidence_b) / weight,
    )


def bin_indices(confidence_b: Tensor, bin_count: int = BIN_COUNT) -> Tensor:
    """Return the bin of each float64 confidence, int64 [B]."""
    return torch.bucketize(confidence_b, _edges(bin_count)[1:-1].to(confidence_b.device))


def _edges(bin_count: int) -> Tensor:
    return torch.arange(bin_count + 1, dtype=torch.float64) / bin_count


def refuse_impossible_labels(labels_b: Tensor, classes: int) -> None:
    """Raise `DataError` if there is no label, or a label is not a class index below `classes`."""
    if len(labels_b) == 0:
        raise DataError("there are no images to evaluate: give a split with at least one")
    impossible_b = (labels_b < 0) | (labels_b >= classes)
    if impossible_b.any():
        first = int(impossible_b.nonzero()[0])
        raise DataError(
            f"label {int(labels_b[first])} of image {first} (and {int(impossible_b.sum()) - 1} "
            f"more): labels must be from 0 to {classes - 1}"
        )


def _refuse_impossible_probabilities(probabilities_bc: Tensor) -> None:
    finite_bc = torch.isfinite(probabilities_bc)
    if not finite_bc.all():
        raise NonFiniteError(
            f"probabilities: {int((~finite_bc).sum())} of {probabilities_bc.numel()} are NaN or "
            "infinite and cannot be scored: fix the model that predicted them"
        )
    if ((probabilities_bc < 0) | (probabilities_bc > 1 + ROUNDING)).any():
        raise DataError(
            f"probabilities must lie in 0..1, got {float(probabilities_bc.min())} to "
            f"{float(probabilities_bc.max())}: apply the softmax to logits first"
        )


def _checked_weights(sample_weights_b: Tensor | None, confidence_b: Tensor) -> Tensor:
    if sample_weights_b is None:
        return torch.ones_like(confidence_b)
    if not torch.isfinite(sample_weights_b).all():
        raise NonFiniteError("sample weights: NaN or infinite values cannot weight an image")
    if (sample_weights_b < 0).any() or not (sample_weights_b > 0).any():
        raise DataError("sample weights must be at least 0, and one of them above 0")
    return sample_weights_b.to(torch.float64)
