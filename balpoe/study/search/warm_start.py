"""Warm start: a sampler that learns from trials of earlier studies.

Earlier trials that are added to this study (`Study.add_trial`) would count in its budget, its
front and its trial numbers. So a second study in memory holds the earlier trials and copies of
this study's trials during a launch. It proposes every trial, and the proposal is enqueued in this
study like a known point. This uses public functions of Optuna only. (A wrapper that shows the
sampler a study with more trials fails: samplers write to the storage of the study they are given.)

A trial that runs in this study is RUNNING in the second one too, so that the sampler avoids its
parameters. When it ends, that placeholder fails, which samplers ignore, and a copy is added.
"""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from balpoe.config import CategoricalParameter, IntParameter, Parameter, StudySpec
from balpoe.study.search.earlier_trials import EarlierStudy, EarlierTrial


class WarmStart:
    """Proposes trials of the study `spec` by `sampler`, with the trials of `earlier` studies."""

    def __init__(
        self, spec: StudySpec, earlier: Sequence[EarlierStudy], sampler: BaseSampler
    ) -> None:
        self._study = optuna.create_study(
            directions=list(spec.objectives.values()), sampler=sampler
        )
        self._study.add_trials(
            [_frozen(spec, trial) for study in earlier for trial in study.trials]
        )
        self._placeholders: dict[int, int] = {}
        self._ended: set[int] = set()

    def ask(self, own: Sequence[FrozenTrial]) -> optuna.Trial:
        """Return a trial suggested from the earlier trials and this study's `own` trials."""
        for trial in own:
            if trial.state.is_finished() and trial.number not in self._ended:
                self._end(trial)
            elif trial.state == TrialState.RUNNING and trial.number not in self._placeholders:
                self._placeholders[trial.number] = len(self._study.get_trials(deepcopy=False))
                self._study.add_trial(trial)
        return self._study.ask()

    def assign(self, number: int, proposed: optuna.Trial) -> None:
        """Record that trial `number` of this study is the `proposed` one."""
        self._placeholders[number] = proposed.number

    def _end(self, trial: FrozenTrial) -> None:
        placeholder = self._placeholders.pop(trial.number, None)
        if placeholder is not None:
            self._study.tell(placeholder, state=TrialState.FAIL)
        self._study.add_trial(trial)
        self._ended.add(trial.number)


def _frozen(spec: StudySpec, trial: EarlierTrial) -> FrozenTrial:
    return optuna.trial.create_trial(
        params=dict(trial.decided),
        distributions={path: distribution_of(spec.search[path]) for path in trial.decided},
        values=[trial.objectives[name] for name in spec.objectives],
        constraints=dict(trial.excesses),
    )


def distribution_of(parameter: Parameter) -> BaseDistribution:
    """Return Optuna's distribution of a searched parameter."""
    if isinstance(parameter, CategoricalParameter):
        return CategoricalDistribution(parameter.choices)
    if isinstance(parameter, IntParameter):
        return IntDistribution(parameter.low, parameter.high, log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
