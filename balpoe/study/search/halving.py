"""Asynchronous successive halving for one or several objectives, with constraints.

A trial is compared with the trials that reached the rung before it, and is stopped rather than
paused (Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning). Several objectives
are ordered by non-dominated fronts (Schmucker et al. 2021, Multi-objective Asynchronous Successive
Halving), and within a front by a greedy epsilon-net (Salinas et al. 2021), which spreads the
promoted trials.

Constraints precede objectives, as in Optuna's samplers (Deb et al. 2002, A Fast and Elitist
Multiobjective Genetic Algorithm, definition 1): feasible trials come first, then the others by
increasing violation.

Shapes: N trials, M objectives, U different points, F points on a front. Lower losses are better.
A violation is the total excess over the constraints, 0 for feasible trials.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from balpoe.study.selection.front import Losses, non_dominated


def is_promoted(
    loss_m: Losses, violation: float, loss_nm: Losses, violation_n: Losses, reduction: int
) -> bool:
    """Return whether a trial is among the best max(1, N // `reduction`) trials at a rung.

    Trials with equal losses and violations share the best place among them.

    Args:
        loss_m: The losses of the trial.
        violation: The violation of the trial.
        loss_nm: The finite losses of all trials that reached the rung, this one included.
        violation_n: The violations of these trials.
        reduction: One of this many trials is promoted.
    """
    kept = max(1, len(loss_nm) // reduction)
    level_nm = loss_nm[violation_n == violation]
    points_um, counts_u = np.unique(level_nm, axis=0, return_counts=True)
    places_left = kept - int((violation_n < violation).sum())
    while places_left > 0:
        front_u = non_dominated(points_um)
        front_fm, counts_f = points_um[front_u], counts_u[front_u]
        if (front_fm == loss_m).all(axis=1).any():
            return _is_promoted_on_front(loss_m, front_fm, counts_f, places_left)
        places_left -= int(counts_f.sum())
        points_um, counts_u = points_um[~front_u], counts_u[~front_u]
    return False


def spread_order(front_fm: Losses) -> list[int]:
    """Return the order of a front's points by farthest-point sampling.

    The first point is the best in the first objective; each next one is farthest from its nearest
    predecessor. Distances are Euclidean, each objective scaled by its range on the front; ties
    keep the order of `front_fm`.
    """
    range_m = np.ptp(front_fm, axis=0)
    scaled_fm = front_fm / np.where(range_m > 0, range_m, 1.0)
    chosen = [int(np.argmin(front_fm[:, 0]))]
    distance_f = np.full(len(front_fm), np.inf)
    for _ in range(len(front_fm) - 1):
        newest_f = np.linalg.norm(scaled_fm - scaled_fm[chosen[-1]], axis=1)
        distance_f = np.minimum(distance_f, newest_f)
        distance_f[chosen] = -np.inf
        chosen.append(int(np.argmax(distance_f)))
    return chosen


def _is_promoted_on_front(
    loss_m: Losses, front_fm: Losses, counts_f: NDArray[np.int64], places: int
) -> bool:
    for point in spread_order(front_fm):
        if places <= 0:
            return False
        if (front_fm[point] == loss_m).all():
            return True
        places -= int(counts_f[point])
    raise AssertionError("the trial is on the front")
