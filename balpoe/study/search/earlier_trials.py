"""The trials of an earlier study from which the sampler of this study can learn.

They must have the same data and the same settings outside the search, and lie in the search space
of this study.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from balpoe.config import Choice, Configuration, StudySpec, to_plain, with_parameters
from balpoe.config.assignment import COUNT, assigned
from balpoe.config.constraints import excesses
from balpoe.config.earlier_names import weighted_classes
from balpoe.config.parameters import canonical_parameters, field_value
from balpoe.config.plain_data import leaves
from balpoe.errors import InvalidFields, UserError
from balpoe.study.trials.events import WarmStarted
from balpoe.study.trials.record import TrialRecord


@dataclass(frozen=True, slots=True)
class EarlierTrial:
    """A COMPLETE trial of another study.

    `decided` are the parameters that a sampler of this study would suggest, `objectives` those of
    this study, `excesses` the excess over each of this study's constraints.
    """

    number: int
    decided: Mapping[str, Choice]
    objectives: Mapping[str, float]
    excesses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EarlierStudy:
    """The usable trials of an earlier study; `outside` more lie outside this search space."""

    name: str
    trials: tuple[EarlierTrial, ...]
    outside: int

    @property
    def event(self) -> WarmStarted:
        """The event that reports the study to listeners."""
        return WarmStarted(self.name, tuple(trial.number for trial in self.trials), self.outside)


def earlier_study(
    spec: StudySpec, earlier: StudySpec, trials: Sequence[TrialRecord], fingerprint: str
) -> EarlierStudy:
    """Return the trials of the study `earlier` that the study `spec` can use.

    Args:
        spec: This study.
        earlier: The earlier study.
        trials: The COMPLETE trials of `earlier` without repeats; with their curves if `spec` has
            constraints.
        fingerprint: The fingerprint of this study's data.

    Raises:
        UserError: `earlier` has no trial, other data, other settings, or lacks an objective or a
            constrained metric; the message holds all reasons.
    """
    reasons = list(_refusals(spec, earlier, trials, fingerprint))
    if reasons:
        raise UserError(
            f"warm_start: nothing can be learnt from the study {earlier.name}: "
            f"{'; '.join(reasons)}; take it out of the list"
        )
    usable = []
    for trial in trials:
        decided = _decided(spec, with_parameters(earlier.base, trial.parameters))
        if decided is not None and trial.objectives is not None:
            objectives = {name: trial.objectives[name] for name in spec.objectives}
            beyond = excesses(spec.constraints, _last_metrics(trial))
            usable.append(EarlierTrial(trial.identity.number, decided, objectives, beyond))
    return EarlierStudy(earlier.name, tuple(usable), len(trials) - len(usable))


def _refusals(
    spec: StudySpec, earlier: StudySpec, trials: Sequence[TrialRecord], fingerprint: str
) -> Iterator[str]:
    lacking = [name for name in spec.objectives if name not in earlier.objectives]
    if lacking:
        hint = weighted_classes(lacking, earlier.objectives)
        yield f"it lacks the objective {', '.join(lacking)}{hint}"
    unmeasured = [
        metric
        for metric in spec.constraints
        if any(metric not in _last_metrics(trial) for trial in trials)
    ]
    if unmeasured:
        hint = weighted_classes(unmeasured, _last_metrics(trials[0]))
        yield f"not all of its trials have {', '.join(unmeasured)}, which is constrained here{hint}"
    yield from _other_settings(spec, earlier)
    if not trials:
        yield "it has no COMPLETE trial"
    others = {trial.data_fingerprint for trial in trials} - {fingerprint}
    if others:
        yield f"data: its fingerprint is {min(map(str, others))}, that of this study {fingerprint}"


def _last_metrics(trial: TrialRecord) -> Mapping[str, float]:
    return trial.history[-1].metrics if trial.history else {}


def _other_settings(spec: StudySpec, earlier: StudySpec) -> Iterator[str]:
    """Yield the fields that neither study searches and that differ."""
    theirs, ours = (dict(leaves(_plain(study.base))) for study in (earlier, spec))
    for path in theirs.keys() | ours.keys():
        searched = path in spec.search or path in earlier.search
        if not searched and theirs.get(path) != ours.get(path):
            yield f"{path} is {theirs.get(path)} there, {ours.get(path)} here"


def _decided(spec: StudySpec, configuration: Configuration) -> dict[str, Choice] | None:
    """Return the suggestions that lead to `configuration`, or None if it is out of reach."""
    decided: dict[str, Choice] = {}

    def choose(path: str) -> Choice:
        decided[path] = field_value(configuration, path)
        return decided[path]

    values = assigned(spec.search, spec.base, choose)
    if not all(spec.search[path].admits(value) for path, value in decided.items()):
        return None
    try:
        reached = with_parameters(spec.base, values)
    except InvalidFields:
        return None
    return decided if _canonical(reached) == _canonical(configuration) else None


def _canonical(configuration: Configuration) -> dict[str, Any]:
    """Return all settings but the data's, with those that one expert ignores at fixed values."""
    count = canonical_parameters({COUNT: field_value(configuration, COUNT)})
    return _plain(with_parameters(configuration, count))


def _plain(configuration: Configuration) -> dict[str, Any]:
    return {name: value for name, value in to_plain(configuration).items() if name != "data"}
