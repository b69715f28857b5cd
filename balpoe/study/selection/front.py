"""Which trials are worth keeping: the Pareto front, and an order on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from balpoe.config import Direction
from balpoe.study.selection.candidates import Candidate, candidates, standing
from balpoe.study.selection.feasibility import Judged, is_feasible
from balpoe.study.selection.repeats import metrics_over_seeds
from balpoe.study.trials.objectives import losses
from balpoe.study.trials.record import TrialRecord

ACCURACY, CALIBRATION_ERROR = "val/accuracy", "val/ece"


AnyTrial = TypeVar("AnyTrial", bound=Judged)


def pareto_front(
    records: Sequence[AnyTrial], directions: Mapping[str, Direction]
) -> tuple[AnyTrial, ...]:
    """The feasible records that no other is at least as good as in everything and better in one.

    Feasible are COMPLETE ones that break no constraint; others dominate nobody.
    Records with equal objectives do not dominate each other; all of them are on the front.
    """
    complete = [
        (record, losses(record.objectives, directions))
        for record in records
        if is_feasible(record) and record.objectives is not None
    ]
    return tuple(
        record
        for record, loss in complete
        if not any(_dominates(other, loss) for _, other in complete)
    )


def mean_front(
    candidates: Iterable[Candidate], directions: Mapping[str, Direction]
) -> tuple[Candidate, ...]:
    """The candidates on the front of the means over their seeds."""
    return tuple(
        found.candidate for found in pareto_front([*map(standing, candidates)], directions)
    )


def rivals(
    records: Sequence[TrialRecord], directions: Mapping[str, Direction]
) -> tuple[Candidate, ...]:
    """The candidates on the front, and all others that have further seeds."""
    known = candidates(records)
    front = {found.number for found in mean_front(known, directions)}
    return tuple(each for each in known if each.number in front or len(each.objectives) > 1)


def ordered_front(
    records: Sequence[TrialRecord], directions: Mapping[str, Direction]
) -> tuple[TrialRecord, ...]:
    """The trials on the front, highest validation accuracy first.

    Ties go to the lower ECE, then to the trial number. All figures are means over the repeats
    of a trial among `records`.
    """
    front = {found.number for found in mean_front(candidates(records), directions)}

    def rank(trial: TrialRecord) -> tuple[float, float, int]:
        number = trial.identity.number
        means = metrics_over_seeds(records, number)
        return -means[ACCURACY].mean, means[CALIBRATION_ERROR].mean, number

    searched = (record for record in records if record.identity.repeat == 0)
    return tuple(sorted((t for t in searched if t.identity.number in front), key=rank))


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
