"""Which trials are worth keeping: the Pareto front, and an order on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from balpoe.config import Direction
from balpoe.study.record import TrialRecord

ACCURACY, CALIBRATION_ERROR = "val/accuracy", "val/ece"


def pareto_front(
    records: Sequence[TrialRecord], directions: Mapping[str, Direction]
) -> tuple[TrialRecord, ...]:
    """The COMPLETE records that no other is at least as good as in everything and better in one.

    Records with equal objectives do not dominate each other; all of them are on the front.
    """
    complete = [record for record in records if record.state == "COMPLETE"]
    losses = [_losses(record, directions) for record in complete]
    return tuple(
        record
        for record, loss in zip(complete, losses, strict=True)
        if not any(_dominates(other, loss) for other in losses)
    )


def by_accuracy(records: Iterable[TrialRecord]) -> tuple[TrialRecord, ...]:
    """Highest validation accuracy first, ties by the lower ECE, then by trial number."""
    return tuple(sorted(records, key=_rank))


def _rank(record: TrialRecord) -> tuple[float, float, int]:
    metrics = record.history[-1].metrics
    return -metrics[ACCURACY], metrics[CALIBRATION_ERROR], record.identity.number


def _losses(record: TrialRecord, directions: Mapping[str, Direction]) -> tuple[float, ...]:
    """The objectives, turned so that lower is better in each."""
    assert record.objectives is not None
    return tuple(
        record.objectives[name] * (-1 if direction == "maximize" else 1)
        for name, direction in directions.items()
    )


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
