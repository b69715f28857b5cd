"""Planned trials: the known points of a study, then the points that its sampler plans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from balpoe.config import Choice, StudySpec
from balpoe.config.assignment import implied_parameters
from balpoe.study.trials.record import TrialRecord


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """A trial whose parameters are known in advance.

    `decided` are the `parameters` that a sampler would suggest, without the implied ones. A point
    `outside` the search space is not reported to the sampler.
    """

    parameters: Mapping[str, Choice]
    decided: Mapping[str, Choice]
    outside: bool


def planned_trials(spec: StudySpec) -> Iterator[PlannedTrial]:
    """Yield the trials that are planned before any trial has run."""
    for point in spec.points.points:
        yield PlannedTrial(point.parameters, point.decided, bool(point.outside))
    seed = spec.sampler.seed_in(spec.seed)
    for decided in spec.sampler.planned_points(spec.search, spec.base, seed):
        yield PlannedTrial(recorded_parameters(spec, decided), decided, outside=False)


def not_yet_tried(
    planned: Iterable[PlannedTrial], tried: Iterable[Mapping[str, Choice]]
) -> Iterator[PlannedTrial]:
    """Yield the `planned` trials whose parameters are not among `tried`, without duplicates."""
    seen = {frozenset(parameters.items()) for parameters in tried}
    for trial in planned:
        point = frozenset(trial.parameters.items())
        if point not in seen:
            seen.add(point)
            yield trial


def is_exhausted(spec: StudySpec, tried: Iterable[Mapping[str, Choice]]) -> bool:
    """Return whether every point of a grid is `tried`; False for other samplers."""
    return spec.sampler.is_exhaustive and not any(not_yet_tried(planned_trials(spec), tried))


def recorded_parameters(spec: StudySpec, decided: Mapping[str, Choice]) -> dict[str, Choice]:
    """Return the decided and the implied parameters in the order of the study file."""
    values = {**decided, **implied_parameters(spec.search, spec.base, decided)}
    return {path: values[path] for path in spec.search if path in values}


def point_name(spec: StudySpec, parameters: Mapping[str, Choice]) -> str | None:
    """Return the name of the known point with these parameters, or None."""
    names = (point.name for point in spec.points.points if point.parameters == parameters)
    return next(names, None)


def tried_points(spec: StudySpec, records: Sequence[TrialRecord]) -> dict[str, TrialRecord]:
    """Return the first trial of the search at each known point, by the name of the point."""
    trials = [record for record in records if record.identity.repeat == 0]
    return {
        point.name: record
        for point in spec.points.points
        for record in reversed(trials)  # so that the first of equal trials is kept
        if record.parameters == point.parameters
    }


def best_known_point(
    spec: StudySpec, records: Sequence[TrialRecord], metric: str
) -> tuple[str, float] | None:
    """Return name and value of the COMPLETE known point that is best in `metric`."""
    sign = 1 if spec.objectives[metric] == "minimize" else -1
    values = [
        (name, record.objectives[metric])
        for name, record in tried_points(spec, records).items()
        if record.objectives is not None
    ]
    return min(values, key=lambda each: sign * each[1], default=None)
