"""The expected effect of choosing the best of K equal configurations.

The best of K configurations with equal true values lies above their mean by the expected maximum of
K standard normal variables, times the standard deviation of one measured value.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from balpoe.study.selection.candidates import Candidate
from balpoe.study.selection.race import pooled_sd

_GRID = np.linspace(-10, 10, 4001)


@dataclass(frozen=True, slots=True)
class SelectionEffect:
    """By how much the best of K equal configurations lies above one of them, drawn at random.

    `mean` is the expectation and `sd` the standard deviation of this gap. `from_seeds` tells
    whether the deviation of a measured value was estimated from seeds, or as the binomial one.
    """

    mean: float
    sd: float
    from_seeds: bool


def best_of_equal(configurations: int) -> tuple[float, float]:
    """Return mean and standard deviation of the gap for values with a standard deviation of 1."""
    cdf = np.array([NormalDist().cdf(x) for x in _GRID]) ** configurations
    centre = (_GRID[1:] + _GRID[:-1]) / 2
    mean = float((centre * np.diff(cdf)).sum())
    variance = float((centre**2 * np.diff(cdf)).sum()) - mean**2
    # the covariance of the maximum with a random one of the K is that with their mean, 1 / K
    return mean, math.sqrt(max(0.0, variance + 1 - 2 / configurations))


def selection_effect(
    candidates: Sequence[Candidate], objective: str, counts: Sequence[int] | None
) -> SelectionEffect | None:
    """Return the effect of the choice among `candidates` on an objective.

    The standard deviation of a measured value is that of the seeds of a configuration, pooled over
    all configurations with two seeds or more. Seeds are measured on the same validation images, so
    it has the variance of training and that part of the sampling of images by which models differ.
    Without further seeds it is the binomial one of the mean accuracy of the candidates, as if each
    had been measured on images of its own: too large where models err on the same images.

    Args:
        candidates: The feasible configurations of the study.
        objective: The objective.
        counts: The validation images of each class, None if they are not known.

    Returns:
        The effect, or None with fewer than two candidates or an unknown standard deviation.
    """
    if len(candidates) < 2:
        return None
    sd = pooled_sd([candidate.values(objective) for candidate in candidates])
    from_seeds = sd is not None
    if sd is None:
        mean = statistics.fmean(candidate.mean(objective) for candidate in candidates)
        sd = _binomial_sd(objective, mean, counts)
    if sd is None:
        return None
    gap, gap_sd = best_of_equal(len(candidates))
    return SelectionEffect(gap * sd, gap_sd * sd, from_seeds)


def effective_images(objective: str, counts: Sequence[int]) -> float:
    """Return the images of the validation split, or the effective number with class weights."""
    present = [count for count in counts if count]
    if objective.rpartition("/")[2].startswith("balanced_"):
        return len(present) ** 2 / sum(1 / count for count in present)
    return float(sum(present))


def _binomial_sd(objective: str, value: float, counts: Sequence[int] | None) -> float | None:
    is_accuracy = objective.rpartition("/")[2] in ("accuracy", "balanced_accuracy")
    if not is_accuracy or not counts or not sum(counts) or not 0 <= value <= 1:
        return None
    return math.sqrt(value * (1 - value) / effective_images(objective, counts))
