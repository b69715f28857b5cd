"""Which trials are worth keeping: the Pareto front, and an order on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from balpoe.config import Direction, StudySpec
from balpoe.study.objectives import losses
from balpoe.study.record import TrialRecord, TrialState
from balpoe.study.repeats import metrics_over_seeds

ACCURACY, CALIBRATION_ERROR = "val/accuracy", "val/ece"


class Judged(Protocol):
    """A trial with a state, and with objectives once it is COMPLETE."""

    @property
    def state(self) -> TrialState:
        """How it stands."""

    @property
    def objectives(self) -> Mapping[str, float] | None:
        """The values of its objectives."""


AnyTrial = TypeVar("AnyTrial", bound=Judged)


def pareto_front(
    records: Sequence[AnyTrial], directions: Mapping[str, Direction]
) -> tuple[AnyTrial, ...]:
    """The COMPLETE records that no other is at least as good as in everything and better in one.

    Records with equal objectives do not dominate each other; all of them are on the front.
    """
    complete = [
        (record, losses(record.objectives, directions))
        for record in records
        if record.state == "COMPLETE" and record.objectives is not None
    ]
    return tuple(
        record
        for record, loss in complete
        if not any(_dominates(other, loss) for _, other in complete)
    )


def ordered_front(
    records: Sequence[TrialRecord], directions: Mapping[str, Direction]
) -> tuple[TrialRecord, ...]:
    """The front of the searched trials, highest validation accuracy first.

    Ties go to the lower ECE, then to the trial number. The front is that of the search's own
    seed; accuracy and ECE are means over all repeats of a trial among `records`.
    """
    searched = [record for record in records if record.identity.repeat == 0]

    def rank(trial: TrialRecord) -> tuple[float, float, int]:
        number = trial.identity.number
        means = metrics_over_seeds(records, number)
        return -means[ACCURACY].mean, means[CALIBRATION_ERROR].mean, number

    return tuple(sorted(pareto_front(searched, directions), key=rank))


def lacks_repeats(spec: StudySpec, records: Sequence[TrialRecord]) -> bool:
    """Whether a trial of the front has fewer repeats, COMPLETE or failed, than the study wants."""
    ended = {
        (record.identity.number, record.identity.repeat)
        for record in records
        if record.state != "RUNNING"
    }
    searched = [record for record in records if record.identity.repeat == 0]
    return any(
        (trial.identity.number, repeat) not in ended
        for trial in pareto_front(searched, spec.objectives)
        for repeat in range(1, spec.repeats)
    )


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
