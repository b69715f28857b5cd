"""The Pareto front of a study, and the order of the trials on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from balpoe.config import Direction
from balpoe.study.selection.candidates import (
    Candidate,
    candidates,
    is_feasible,
    metrics_over_seeds,
)
from balpoe.study.trials.objectives import losses
from balpoe.study.trials.record import TrialRecord

ACCURACY, CALIBRATION_ERROR = "val/balanced_accuracy", "val/balanced_ece"

Item = TypeVar("Item")
Losses = NDArray[np.float64]


def pareto_front(
    records: Sequence[TrialRecord], directions: Mapping[str, Direction]
) -> tuple[TrialRecord, ...]:
    """Return the feasible records that no other feasible record dominates.

    A record dominates another if it is at least as good in every objective and better in one.
    Records with equal objectives do not dominate each other: all of them are on the front.
    """
    return _on_front(
        [
            (record, losses(record.objectives, directions))
            for record in records
            if is_feasible(record) and record.objectives is not None
        ]
    )


def mean_front(
    candidates: Iterable[Candidate], directions: Mapping[str, Direction]
) -> tuple[Candidate, ...]:
    """Return the candidates on the front of the means over their seeds."""
    return _on_front(
        [
            (candidate, losses({name: candidate.mean(name) for name in directions}, directions))
            for candidate in candidates
        ]
    )


def rivals(
    records: Sequence[TrialRecord], directions: Mapping[str, Direction]
) -> tuple[Candidate, ...]:
    """Return the candidates on the front, and all others with more than one seed."""
    known = candidates(records)
    front = {found.number for found in mean_front(known, directions)}
    return tuple(each for each in known if each.number in front or len(each.objectives) > 1)


def ordered_front(
    records: Sequence[TrialRecord], directions: Mapping[str, Direction]
) -> tuple[TrialRecord, ...]:
    """Return the trials on the front by descending balanced validation accuracy.

    Ties are broken by the lower balanced ECE, then by the trial number. All values are means over
    the repeats of a trial among `records`.
    """
    front = {found.number for found in mean_front(candidates(records), directions)}

    def rank(trial: TrialRecord) -> tuple[float, float, int]:
        number = trial.identity.number
        means = metrics_over_seeds(records, number)
        return -means[ACCURACY].mean, means[CALIBRATION_ERROR].mean, number

    searched = (record for record in records if record.identity.repeat == 0)
    return tuple(sorted((t for t in searched if t.identity.number in front), key=rank))


def non_dominated(points_nm: Losses) -> NDArray[np.bool_]:
    """Return which points no other point dominates, [N].

    Args:
        points_nm: Different points in lexicographic order, as returned by `np.unique`.
    """
    is_on_front_n = np.zeros(len(points_nm), bool)
    left = np.arange(len(points_nm))
    while left.size:
        # in this order no later point dominates an earlier one
        first = left[0]
        is_on_front_n[first] = True
        left = left[(points_nm[left] < points_nm[first]).any(axis=1)]
    return is_on_front_n


def front_ranks(losses_nm: Losses) -> NDArray[np.int_]:
    """Return the rank of non-domination of N points with M losses, [N].

    The rank is 0 on the front, and 1 on the front of the points without rank 0, and so on (fast
    non-dominated sorting, Deb et al. 2002). Equal points have the same rank.
    """
    if not len(losses_nm):
        return np.zeros(0, np.int_)
    points_um, point_n = np.unique(losses_nm, axis=0, return_inverse=True)
    rank_u = np.zeros(len(points_um), np.int_)
    left, rank = np.arange(len(points_um)), 0
    while left.size:
        is_on_front = non_dominated(points_um[left])
        rank_u[left[is_on_front]] = rank
        left, rank = left[~is_on_front], rank + 1
    return rank_u[point_n.reshape(-1)]


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a trial in its study: its rank of non-domination, and its position from 1."""

    front: int
    position: int


def trial_places(
    records: Sequence[TrialRecord], directions: Mapping[str, Direction]
) -> Mapping[int, Place]:
    """Return the place of each feasible trial by its number, from means over its repeats.

    Trials are ordered by the rank of non-domination, then by the first objective, the second one
    and so on, then by number: no dominated trial precedes one that dominates it.
    """
    found = candidates(records)
    if not found:
        return {}
    loss_nm = np.array(
        [losses({name: each.mean(name) for name in directions}, directions) for each in found]
    )
    ranks = front_ranks(loss_nm).tolist()
    order = sorted(
        range(len(found)), key=lambda n: (ranks[n], *loss_nm[n].tolist(), found[n].number)
    )
    return {found[n].number: Place(ranks[n], position) for position, n in enumerate(order, start=1)}


def _on_front(losses: Sequence[tuple[Item, tuple[float, ...]]]) -> tuple[Item, ...]:
    """Return the items whose losses no other losses dominate."""
    if not losses:
        return ()
    loss_nm = np.array([own for _, own in losses])
    points_um, point_n = np.unique(loss_nm, axis=0, return_inverse=True)
    on_front_n = non_dominated(points_um)[point_n.reshape(-1)]
    return tuple(item for (item, _), on_front in zip(losses, on_front_n, strict=True) if on_front)
