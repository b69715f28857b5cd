"""The hypervolume of a set of trials: how much of the objectives' space they dominate."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from balpoe.study.selection.front import non_dominated

Losses = NDArray[np.float64]


def reference_point(losses_nm: Losses) -> NDArray[np.float64]:
    """Return the worst value of each loss over the given trials, [M].

    The same reference point is needed for hypervolumes that are compared. A trial that is worst in
    one loss adds no volume.

    Raises:
        ValueError: there is no trial.
    """
    if not len(losses_nm):
        raise ValueError("a reference point needs at least one trial")
    worst_m: NDArray[np.float64] = losses_nm.max(axis=0)
    return worst_m


def hypervolume(losses_nm: Losses, reference_m: NDArray[np.float64]) -> float:
    """Return the volume that the trials dominate within the reference point (Zitzler 1998).

    It is exact for every number of objectives: the last loss is cut into slices, and each slice is
    the volume of the remaining losses (hypervolume by slicing objectives, While et al. 2006, IEEE
    Transactions on Evolutionary Computation 10(1)). For one objective it is the distance of the
    best trial from the reference. Each loss has a unit of its own, hence only hypervolumes of one
    study, or of studies with the same objectives, can be compared.

    Args:
        losses_nm: N trials with M losses; lower is better.
        reference_m: The reference point. A trial that is not better than it in every loss adds
            nothing.
    """
    inside_nm = losses_nm[(losses_nm < reference_m).all(axis=1)]
    if not len(inside_nm):
        return 0.0
    points_um = np.unique(inside_nm, axis=0)
    return _volume(points_um[non_dominated(points_um)], reference_m)


def _volume(front_nm: Losses, reference_m: NDArray[np.float64]) -> float:
    """Return the volume of points that are better than the reference in every loss."""
    if front_nm.shape[1] == 1:
        return float(reference_m[0] - front_nm.min())
    if front_nm.shape[1] == 2:
        return _area(front_nm, reference_m)
    ascending_nm = front_nm[front_nm[:, -1].argsort(kind="stable")]
    bounds = [*ascending_nm[:, -1], reference_m[-1]]
    return math.fsum(
        (bounds[n] - bounds[n - 1]) * _volume(ascending_nm[:n, :-1], reference_m[:-1])
        for n in range(1, len(bounds))
        if bounds[n] > bounds[n - 1]
    )


def _area(points_n2: Losses, reference_2: NDArray[np.float64]) -> float:
    """Return the area of points that are better than the reference in both losses."""
    ascending_n2 = points_n2[np.lexsort(points_n2.T[::-1])]
    lowest_n = np.minimum.accumulate(ascending_n2[:, 1])
    right_n = np.append(ascending_n2[1:, 0], reference_2[0])
    return float(((right_n - ascending_n2[:, 0]) * (reference_2[1] - lowest_n)).sum())
