"""The calibration error that a perfectly calibrated classifier shows on finitely many images.

Its estimate by bins is above 0 by chance, and more so for fewer images (Bröcker and Smith,
"Increasing the Reliability of Reliability Diagrams", Weather and Forecasting 22, 2007: consistency
resampling; Roelofs et al., "Mitigating Bias in Calibration Error Estimation", AISTATS 2022). The
confidences, weights and bins stay; only the labels are drawn anew, y ~ p(·|x), so that a prediction
of confidence c is correct with probability c.

B batch, R draws, K bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from balpoe.method.calibration_bins import BIN_COUNT, bin_indices

TYPICAL_ACCURACY: Final = 0.93

_SEED: Final = 0
_FEWEST_DRAWS, _MOST_DRAWS = 50, 1000
_VALUES: Final = 1_000_000
"""The number of correct or wrong predictions that are drawn, where `_FEWEST_DRAWS` allows."""
_LOWEST_CONFIDENCE: Final = 0.1


@dataclass(frozen=True, slots=True)
class CalibrationFloor:
    """Mean and standard deviation, over drawn labels, of the two calibration errors."""

    ece: float
    ece_sd: float
    mce: float
    mce_sd: float


def calibration_floor(
    confidence_b: Tensor, weights_b: Tensor, *, bin_count: int = BIN_COUNT
) -> CalibrationFloor:
    """Return the errors of a perfectly calibrated classifier with these confidences.

    `confidence_b` are float64 in (0, 1], `weights_b` finite, non-negative and not all 0. The draws
    are the same for the same number of images.
    """
    used_b = weights_b > 0
    confidence_b, weights_b = confidence_b[used_b].clamp(max=1.0), weights_b[used_b]
    images = len(confidence_b)
    bins_bk = torch.nn.functional.one_hot(bin_indices(confidence_b, bin_count), bin_count)
    bins_bk = bins_bk * (weights_b / weights_b.sum()).unsqueeze(1)
    weight_k = bins_bk.sum(dim=0)
    filled_k = weight_k > 0
    draws = min(max(_VALUES // images, _FEWEST_DRAWS), _MOST_DRAWS)
    generator = torch.Generator().manual_seed(_SEED)
    gaps_rk = torch.cat(
        [
            _gaps(confidence_b, bins_bk[:, filled_k], rows, generator)
            for rows in _slices(draws, max(1, _VALUES // images))
        ]
    )
    ece_r, mce_r = gaps_rk.sum(dim=1), (gaps_rk / weight_k[filled_k]).amax(dim=1)
    return CalibrationFloor(
        float(ece_r.mean()), float(ece_r.std()), float(mce_r.mean()), float(mce_r.std())
    )


def typical_confidences(images: int) -> Tensor:
    """Return the confidences of a calibrated classifier of accuracy 0.93, float64 [images].

    1 − confidence has an exponential distribution with the mean 0.07, of which the confidences are
    the quantiles: most predictions are nearly certain, and few are doubtful. Their order is random.
    """
    order_b = torch.randperm(images, generator=torch.Generator().manual_seed(_SEED))
    quantiles_b = (order_b.double() + 0.5) / images
    return (1 + (1 - TYPICAL_ACCURACY) * quantiles_b.log()).clamp(min=_LOWEST_CONFIDENCE)


def _gaps(confidence_b: Tensor, bins_bk: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """|accuracy − confidence| of every filled bin times its share of the weight, [R, K]."""
    confidence_b = confidence_b.float()
    drawn_rb = torch.rand(draws, len(confidence_b), generator=generator)
    correct_rb = (drawn_rb < confidence_b).float()
    return ((correct_rb - confidence_b) @ bins_bk.float()).abs().double()


def _slices(draws: int, most: int) -> list[int]:
    """Return numbers of draws, at most `most` at a time for the sake of memory."""
    return [min(most, draws - done) for done in range(0, draws, most)]
