"""Trials of an earlier study that tell the sampler of this one something.

They must have been measured on the same data with the same settings, but for what is searched,
and lie in this study's search space.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from balpoe.config import Choice, Configuration, StudySpec, to_plain, with_parameters
from balpoe.config.assignment import COUNT, assigned
from balpoe.config.constraints import excesses
from balpoe.config.parameters import canonical_parameters, field_value
from balpoe.errors import InvalidFields, UserError
from balpoe.study.trials.events import WarmStarted
from balpoe.study.trials.record import TrialRecord

_IDLE_WITH_ONE_EXPERT: Final = ("experts.spread", "experts.sharing")


@dataclass(frozen=True, slots=True)
class EarlierTrial:
    """A COMPLETE trial of another study.

    `decided` are the parameters that a sampler of this study would decide, `objectives` those
    of this study, `excesses` how far it is beyond each of this study's constraints.
    """

    number: int
    decided: Mapping[str, Choice]
    objectives: Mapping[str, float]
    excesses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EarlierStudy:
    """What an earlier study gives to this one; `outside` trials lie outside its search space."""

    name: str
    trials: tuple[EarlierTrial, ...]
    outside: int

    @property
    def event(self) -> WarmStarted:
        """What those who watch are told of it."""
        return WarmStarted(self.name, tuple(trial.number for trial in self.trials), self.outside)


def earlier_study(
    spec: StudySpec, earlier: StudySpec, trials: Sequence[TrialRecord], fingerprint: str
) -> EarlierStudy:
    """What the `trials` of the study `earlier` are worth to `spec`.

    Args:
        spec: This study.
        earlier: The other one.
        trials: Its COMPLETE trials, repeats left out; their curves are needed for constraints.
        fingerprint: That of this study's data.

    Raises:
        UserError: it has no trial, other data, other settings or lacks an objective or a
            constrained metric; all reasons are told.
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
        yield f"it lacks the objective {', '.join(lacking)}"
    unmeasured = [
        metric
        for metric in spec.constraints
        if any(metric not in _last_metrics(trial) for trial in trials)
    ]
    if unmeasured:
        yield f"not all of its trials have {', '.join(unmeasured)}, which is constrained here"
    yield from _other_settings(spec, earlier)
    if not trials:
        yield "it has no COMPLETE trial"
    others = {trial.data_fingerprint for trial in trials} - {fingerprint}
    if others:
        yield f"data: its fingerprint is {min(map(str, others))}, that of this study {fingerprint}"


def _last_metrics(trial: TrialRecord) -> Mapping[str, float]:
    return trial.history[-1].metrics if trial.history else {}


def _other_settings(spec: StudySpec, earlier: StudySpec) -> Iterator[str]:
    """Fields that neither study searches, and in which they differ."""
    theirs, ours = (dict(_leaves(_plain(study.base), "")) for study in (earlier, spec))
    for path in theirs.keys() | ours.keys():
        searched = path in spec.search or path in earlier.search
        if not searched and theirs.get(path) != ours.get(path):
            yield f"{path} is {theirs.get(path)} there, {ours.get(path)} here"


def _decided(spec: StudySpec, configuration: Configuration) -> dict[str, Choice] | None:
    """What a sampler would have decided to get `configuration`; None where it never could."""
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
    """All settings but the data's; with one expert, what is idle then counts for nothing."""
    paths = (COUNT, *_IDLE_WITH_ONE_EXPERT)
    known = canonical_parameters({path: field_value(configuration, path) for path in paths})
    return _plain(with_parameters(configuration, known))


def _plain(configuration: Configuration) -> dict[str, Any]:
    return {name: value for name, value in to_plain(configuration).items() if name != "data"}


def _leaves(plain: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in plain.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
