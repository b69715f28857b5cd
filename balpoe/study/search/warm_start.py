"""A sampler that knows trials of earlier studies, which are no trials of this one.

Added to this study (`Study.add_trial`) they would count as its own: in its budget, its front,
its numbers, and everyone who ever reads it would have to leave them out. A sampler that is shown
more trials than its study has would do, but samplers write to the trial that they sample for, in
the storage of the study that they are shown: a wrapper would lead them to another trial's row.

So there is a second study, in memory, for the length of a launch. It has the earlier trials and
copies of this study's own, and is asked for every proposal; what it says is enqueued in this
study as a known point is. All of that is Optuna's public interface. A trial that is under way
here is RUNNING there too, so that samplers keep away from it; at its end that placeholder fails,
which samplers ignore, and a copy takes its place.
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
    """Proposals by `sampler` for the study `spec`, with the trials of `earlier` studies."""

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
        """A trial whose suggestions follow from the earlier trials and this study's `own`."""
        for trial in own:
            if trial.state.is_finished() and trial.number not in self._ended:
                self._end(trial)
            elif trial.state == TrialState.RUNNING and trial.number not in self._placeholders:
                self._placeholders[trial.number] = len(self._study.get_trials(deepcopy=False))
                self._study.add_trial(trial)
        return self._study.ask()

    def is_asked(self, number: int, proposed: optuna.Trial) -> None:
        """This study's trial `number` is the one `proposed`."""
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
        distributions={path: _distribution(spec.search[path]) for path in trial.decided},
        values=[trial.objectives[name] for name in spec.objectives],
        constraints=dict(trial.excesses),
    )


def _distribution(parameter: Parameter) -> BaseDistribution:
    if isinstance(parameter, CategoricalParameter):
        return CategoricalDistribution(parameter.choices)
    if isinstance(parameter, IntParameter):
        return IntDistribution(parameter.low, parameter.high, log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
