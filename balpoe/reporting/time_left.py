"""The remaining time of a study, at the pace of its present launch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from balpoe.config import StudySpec
from balpoe.reporting.race_forecast import RaceForecast
from balpoe.study.search.spent_budget import spent_by_launches
from balpoe.study.trials.record import TrialRecord

_HOUR = 3600.0


def seconds_left(
    spec: StudySpec,
    records: Sequence[TrialRecord],
    launches: Sequence[float],
    now: float,
    forecast: RaceForecast,
) -> float | None:
    """Return an upper bound of the seconds until a budget is spent and the race is over.

    Args:
        spec: The study.
        records: All its trials and repeats.
        launches: The start of each launch, this one last; Unix seconds, as `now`.
        now: The present.
        forecast: The forecast of the trials that get further seeds.

    Returns:
        The seconds, or None until this launch has trained an epoch.
    """
    pace = _epochs_per_second(records, launches[-1], now)
    if pace is None:
        return None
    limits = [
        _search_epochs(spec, records) / pace if spec.budget.trials is not None else None,
        *_hours_left(spec, records, launches),
    ]
    search = min(limit for limit in limits if limit is not None)
    return search + _race_epochs(spec, records, forecast, searching=search > 0) / pace


def epochs_of(spec: StudySpec, record: TrialRecord) -> int:
    """The epochs of a trial in all."""
    return spec.epochs_of(record.parameters)


def epochs_done(record: TrialRecord) -> int:
    """The epochs that a trial has finished."""
    return record.history[-1].epoch if record.history else 0


def _epochs_per_second(records: Sequence[TrialRecord], launched: float, now: float) -> float | None:
    trained = sum(result.unix_time >= launched for r in records for result in r.history)
    begun = min((r.started for r in records if r.started >= launched), default=launched)
    return trained / (now - begun) if trained and now > begun else None


def _search_epochs(spec: StudySpec, records: Sequence[TrialRecord]) -> float:
    """The epochs that running trials lack, and those of the trials that the budget still allows.

    With early stopping, further trials are assumed to last as long as the ended ones on average.
    """
    assert spec.budget.trials is not None
    trials = [record for record in records if record.identity.repeat == 0]
    running = [record for record in trials if record.state == "RUNNING"]
    waiting = max(0, spec.budget.trials - len(trials))
    missing = sum(epochs_of(spec, record) - epochs_done(record) for record in running)
    return waiting * _expected_epochs(spec, trials) + missing


def _expected_epochs(spec: StudySpec, trials: Sequence[TrialRecord]) -> float:
    ended = [epochs_done(trial) for trial in trials if trial.state in ("COMPLETE", "PRUNED")]
    if spec.early_stopping is None or not ended:
        return spec.base.epochs
    return fmean(ended)


def _hours_left(
    spec: StudySpec, records: Sequence[TrialRecord], launches: Sequence[float]
) -> Iterator[float]:
    """The seconds until each budget in hours is spent, assuming that all devices are in use."""
    if spec.budget.wall_hours is None and spec.budget.device_hours is None:
        return
    spent = spent_by_launches(records, launches, spec.resources)
    if spec.budget.wall_hours is not None:
        yield max(0.0, spec.budget.wall_hours * _HOUR - spent.wall_seconds)
    if spec.budget.device_hours is not None:
        devices = spec.resources.concurrent_trials * spec.resources.devices_per_trial
        yield max(0.0, spec.budget.device_hours * _HOUR - spent.device_seconds) / devices


def _race_epochs(
    spec: StudySpec, records: Sequence[TrialRecord], forecast: RaceForecast, *, searching: bool
) -> int:
    """An upper bound of the epochs of the race: every racing trial may go on to its last seed.

    During the search, the epochs of the seeds that the trials on the front get in any case.
    """
    if spec.repeats == 1:
        return 0
    known = {(record.identity.number, record.identity.repeat): record for record in records}
    return sum(
        epochs_of(spec, known[number, 0]) - _done_of_repeat(spec, known.get((number, repeat)))
        for number in forecast.racing_trials(records, searching=searching)
        for repeat in range(1, forecast.seed_limit(searching=searching))
    )


def _done_of_repeat(spec: StudySpec, repeat: TrialRecord | None) -> int:
    """The epochs that a repeat does not need any more: all of an ended one, even if it failed."""
    if repeat is None:
        return 0
    return epochs_done(repeat) if repeat.state == "RUNNING" else epochs_of(spec, repeat)
