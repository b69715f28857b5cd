"""Which trials go on at a rung of successive halving, for one objective and for several.

Asynchronous: a trial is judged when it comes, against those that came before it, and nobody
waits (Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, in the form that
stops instead of pausing). For several objectives the order is that of Schmucker et al. 2021
(Multi-objective Asynchronous Successive Halving): by non-dominated fronts, and within a front by
a greedy epsilon-net (Salinas et al. 2021), so that those that go on lie far apart.

Under constraints the violation decides before the objectives, as in Optuna's samplers (Deb et al.
2002, A Fast and Elitist Multiobjective Genetic Algorithm, definition 1): trials that keep all come
first, then those that break some, the one that breaks them least leading.

Shapes: N trials, M objectives. Losses: lower is better in each. Violations: 0 where all
constraints are kept, else by how much they are broken in all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Losses = NDArray[np.float64]


def goes_on(
    loss_m: Losses, violation: float, loss_nm: Losses, violation_n: Losses, reduction: int
) -> bool:
    """Whether a trial is among the best N / `reduction` of all that came to a rung, or the best.

    Trials with equal losses and violations share the best place among them.

    Args:
        loss_m: The losses of the trial.
        violation: Its violation.
        loss_nm: The losses of all that came so far, this one included; finite.
        violation_n: Their violations.
        reduction: Of how many trials one goes on.
    """
    kept = max(1, len(loss_nm) // reduction)
    level_nm = loss_nm[violation_n == violation]
    points_um, counts_u = np.unique(level_nm, axis=0, return_counts=True)
    places_left = kept - int((violation_n < violation).sum())
    while places_left > 0:
        front_u = non_dominated(points_um)
        front_fm, counts_f = points_um[front_u], counts_u[front_u]
        if (front_fm == loss_m).all(axis=1).any():
            return _goes_on_in_front(loss_m, front_fm, counts_f, places_left)
        places_left -= int(counts_f.sum())
        points_um, counts_u = points_um[~front_u], counts_u[~front_u]
    return False


def non_dominated(points_nm: Losses) -> NDArray[np.bool_]:
    """Which of the points no other dominates.

    Args:
        points_nm: Different points in lexicographic order, as `np.unique` gives them.
    """
    is_on_front_n = np.zeros(len(points_nm), bool)
    left = np.arange(len(points_nm))
    while left.size:
        # in this order no later point dominates an earlier one
        first = left[0]
        is_on_front_n[first] = True
        left = left[(points_nm[left] < points_nm[first]).any(axis=1)]
    return is_on_front_n


def spread_order(front_fm: Losses) -> list[int]:
    """The points of a front, each as far as can be from the nearest of those before it.

    The best in the first objective comes first. Distances are Euclidean, each objective in units
    of its range on the front; equally far points keep their order.
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


def _goes_on_in_front(
    loss_m: Losses, front_fm: Losses, counts_f: NDArray[np.int64], places: int
) -> bool:
    for point in spread_order(front_fm):
        if places <= 0:
            return False
        if (front_fm[point] == loss_m).all():
            return True
        places -= int(counts_f[point])
    raise AssertionError("the trial is on the front")
