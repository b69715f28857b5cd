"""How far a study is, worked out from the records of its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from balpoe.config import Direction, StudySpec
from balpoe.study.record import TrialRecord


@dataclass(frozen=True, slots=True)
class Best:
    """The best value of one objective so far, and the number of its trial."""

    value: float
    number: int


@dataclass(frozen=True, slots=True)
class RunningTrial:
    """A trial under way: epochs done of all, and its newest value of each objective."""

    number: int
    epoch: int
    epochs: int
    newest: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """A study at one moment; `left_seconds` is None until an epoch has been trained."""

    study: str
    trials: int
    complete: int
    failed: int
    pruned: int
    running: tuple[RunningTrial, ...]
    best: Mapping[str, Best]
    elapsed_seconds: float
    left_seconds: float | None

    @property
    def finished(self) -> int:
        """Trials that count towards the budget."""
        return self.complete + self.failed + self.pruned


def study_progress(
    spec: StudySpec, records: Sequence[TrialRecord], *, launched: float, now: float
) -> StudyProgress:
    """The progress of the search; repeats of its trials with other seeds are left out.

    Args:
        spec: The study.
        records: Its trials so far, of this launch and of earlier ones.
        launched: When this launch began; Unix seconds, as `now`.
        now: The present.
    """
    trials = [record for record in records if record.identity.repeat == 0]
    states = [record.state for record in trials]
    bests = {name: _best(trials, name, goal) for name, goal in spec.objectives.items()}
    return StudyProgress(
        study=spec.name,
        trials=spec.budget.trials,
        complete=states.count("COMPLETE"),
        failed=states.count("FAIL"),
        pruned=states.count("PRUNED"),
        running=tuple(_running(spec, record) for record in trials if record.state == "RUNNING"),
        best={name: best for name, best in bests.items() if best is not None},
        elapsed_seconds=now - launched,
        left_seconds=_left_seconds(spec, trials, launched=launched, now=now),
    )


def _running(spec: StudySpec, record: TrialRecord) -> RunningTrial:
    newest = {
        name: value
        for result in record.history
        for name, value in result.metrics.items()
        if name in spec.objectives
    }
    return RunningTrial(record.identity.number, _epoch(record), _epochs(spec, record), newest)


def _best(records: Sequence[TrialRecord], metric: str, direction: Direction) -> Best | None:
    values = [
        Best(record.objectives[metric], record.identity.number)
        for record in records
        if record.objectives is not None
    ]
    sign = 1 if direction == "minimize" else -1
    return min(values, key=lambda best: (sign * best.value, best.number), default=None)


def _epoch(record: TrialRecord) -> int:
    return record.history[-1].epoch if record.history else 0


def _epochs(spec: StudySpec, record: TrialRecord) -> int:
    return int(record.parameters.get("training.epochs", spec.base.training.epochs))


def _left_seconds(
    spec: StudySpec, records: Sequence[TrialRecord], *, launched: float, now: float
) -> float | None:
    """The epochs still to train at the rate of this launch."""
    trained = sum(result.unix_time >= launched for r in records for result in r.history)
    if not trained:
        return None
    running = [record for record in records if record.state == "RUNNING"]
    waiting = max(0, spec.budget.trials - len(records))
    left = waiting * spec.base.training.epochs
    left += sum(_epochs(spec, record) - _epoch(record) for record in running)
    begun = min((r.started for r in records if r.started >= launched), default=launched)
    return left * (now - begun) / trained
