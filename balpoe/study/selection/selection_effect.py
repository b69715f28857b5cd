"""The expected effect of choosing the best of K equal configurations.

The best of K configurations with equal true values lies above their mean by the expected maximum of
K standard normal variables, times the standard deviation of one measured value.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from balpoe.study.selection.candidates import Candidate, pooled_sd

_GRID = np.linspace(-10, 10, 4001)
_ACCURACY = re.compile(r"val/(expert_\d+/)?(balanced_)?accuracy")


@dataclass(frozen=True, slots=True)
class SelectionEffect:
    """By how much the best of K equal configurations lies above one of them, drawn at random.

    `mean` is the expectation and `sd` the standard deviation of this gap. `images` is the number
    of validation images, the effective one under class weights, from which the binomial deviation
    of a measured value follows; None if this deviation was estimated from seeds.
    """

    mean: float
    sd: float
    images: float | None


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
    had been measured on images of its own: too large where models err on the same images. It is
    known for accuracies over images or over classes, not for shifted ones or recalls.

    Args:
        candidates: The feasible configurations of the study.
        objective: The objective.
        counts: The validation images of each class, None if they are not known.

    Returns:
        The effect, or None with fewer than two candidates or an unknown standard deviation.
    """
    if len(candidates) < 2:
        return None
    images = None
    sd = pooled_sd([candidate.values(objective) for candidate in candidates])
    if sd is None:
        images = effective_images(objective, counts or ())
        mean = statistics.fmean(candidate.mean(objective) for candidate in candidates)
        if images is None or not 0 <= mean <= 1:
            return None
        sd = math.sqrt(mean * (1 - mean) / images)
    gap, gap_sd = best_of_equal(len(candidates))
    return SelectionEffect(gap * sd, gap_sd * sd, images)


def effective_images(objective: str, counts: Sequence[int]) -> float | None:
    """Return the validation images of an accuracy, or the effective number under class weights.

    None for any other metric, such as an accuracy under a shift or the recall of a class, and
    without images.
    """
    accuracy = _ACCURACY.fullmatch(objective)
    present = [count for count in counts if count]
    if accuracy is None or not present:
        return None
    if accuracy[2]:
        return len(present) ** 2 / sum(1 / count for count in present)
    return float(sum(present))
