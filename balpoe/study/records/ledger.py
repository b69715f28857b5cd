"""The trials of a study in Optuna's storage: the truth for identity, parameters and state.

A trial is proposed once, taken up again after every interruption under its own number and
parameters, and ends once.
"""

from __future__ import annotations

import functools
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.samplers import RandomSampler
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, TrialState

from balpoe.config import CategoricalParameter, Choice, IntParameter, Parameter, StudySpec
from balpoe.config.assignment import assigned
from balpoe.study.records.ledger_entry import (
    ATTEMPT,
    ENDED,
    FAILURE,
    FAILURE_CLASS,
    FIXED,
    STARTED,
    STATES,
    LedgerEntry,
    ledger_entry,
    parameters_of,
)
from balpoe.study.search.earlier_trials import EarlierStudy
from balpoe.study.search.planned_trials import PlannedTrial, not_yet_tried, planned_trials
from balpoe.study.search.sampling import sampler_for
from balpoe.study.search.warm_start import WarmStart
from balpoe.study.storage.optuna_study import open_study, storage_errors
from balpoe.study.storage.storage import ConfirmLease
from balpoe.study.storage.study_storage import storage_of
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.failures import Failure

logger = logging.getLogger(__name__)

_LAUNCHES, _LAUNCHED = "launches", "launched"
_ALONE, _DEATHS, _DEATH_EPOCH = "alone", "deaths_without_progress", "death_epoch"
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class AlreadyEndedError(Exception):
    """A trial that has ended was told another end: a fault of ours, never of the user."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A trial to run: its number, its parameters, and how often it was begun before.

    An `alone` one ran out of memory beside others, and is tried once more without them.
    """

    number: int
    attempt: int
    parameters: Mapping[str, Choice]
    alone: bool = False


class Ledger:
    """The trials of the study `spec` in the storage of `directory`, created if need be.

    Whoever writes holds the study's lease: the launch, whose `confirm_lease` tells where it is
    lost, keeps the trials in memory; to others they are read anew.

    Raises:
        CorruptFile: the storage is damaged.
        StorageError: the storage cannot be opened or written.
        UserError: the study exists with other objectives, or belongs to another directory.
    """

    def __init__(
        self,
        spec: StudySpec,
        directory: StudyDirectory,
        confirm_lease: ConfirmLease | None = None,
    ) -> None:
        self._spec = spec
        self._planned: deque[PlannedTrial] = deque()
        self._warm_start: WarmStart | None = None
        self._study = open_study(spec, directory, confirm_lease)
        storage = storage_of(directory)
        self._storage_errors = functools.partial(storage_errors, storage)

    def begin_launch(self, earlier: Sequence[EarlierStudy] = ()) -> int:
        """Count one more launch, from 0, and reseed the sampler for it.

        A sampler seeded as before would repeat the proposals of the launch before. It also
        learns from the trials of `earlier` studies.
        """
        with self._storage_errors():
            launch = int(self._study.user_attrs.get(_LAUNCHES, 0))
            self._study.set_user_attr(_LAUNCHES, launch + 1)
            self._study.set_user_attr(_LAUNCHED, [*self.launches(), time.time()])
        sampler = sampler_for(self._spec, launch)
        self._warm_start = WarmStart(self._spec, earlier, sampler) if earlier else None
        self._study.sampler = RandomSampler() if earlier else sampler
        tried = [parameters_of(trial, self._spec) for trial in self._trials(*TrialState)]
        self._planned = deque(not_yet_tried(planned_trials(self._spec), tried))
        return launch

    def launches(self) -> tuple[float, ...]:
        """When each launch began; Unix seconds."""
        with self._storage_errors():
            return tuple(self._study.user_attrs.get(_LAUNCHED, ()))

    def ask(self) -> Proposal:
        """Propose a new trial, a planned one while there are any; it is RUNNING from now on."""
        with self._storage_errors():
            if not self._trials(TrialState.WAITING):
                if self._planned:
                    self._enqueue(self._planned.popleft())
                elif self._warm_start is not None:
                    return self._ask_with_evidence(self._warm_start)
            return self._begun(self._study.ask())

    def _ask_with_evidence(self, warm_start: WarmStart) -> Proposal:
        proposed = warm_start.ask(self._study.get_trials(deepcopy=False))
        self._suggest(proposed)
        self._study.enqueue_trial(proposed.params)
        trial = self._study.ask()
        warm_start.is_asked(trial.number, proposed)
        return self._begun(trial)

    def _begun(self, trial: optuna.Trial) -> Proposal:
        trial.set_user_attr(STARTED, time.time())
        return Proposal(trial.number, 0, self._suggest(trial))

    def is_exhausted(self) -> bool:
        """Whether every point of a grid has been proposed; other samplers never run out."""
        if self._spec.sampler.name != "grid":
            return False
        return not (self._planned or self._trials(TrialState.WAITING))

    def running(self) -> tuple[int, ...]:
        """The numbers of the RUNNING trials; before a launch's first proposal, its orphans."""
        return tuple(trial.number for trial in self._trials(TrialState.RUNNING))

    def take_up(self, number: int) -> Proposal:
        """Begin the RUNNING trial `number` once more, with the parameters that it has.

        A driver that died between proposing a trial and its last parameter leaves some
        undecided: those are suggested now.
        """
        with self._storage_errors():
            frozen = self._frozen(number)
            attempt = int(frozen.user_attrs.get(ATTEMPT, 0)) + 1
            trial = optuna.Trial(self._study, frozen._trial_id)
            trial.set_user_attr(ATTEMPT, attempt)
            alone = bool(frozen.user_attrs.get(_ALONE, False))
            return Proposal(number, attempt, self._suggest(trial), alone)

    def is_set_apart(self, number: int) -> bool:
        """Whether trial `number` is to run alone."""
        with self._storage_errors():
            return bool(self._frozen(number).user_attrs.get(_ALONE, False))

    def set_apart(self, number: int) -> None:
        """Have trial `number` taken up again while no other runs."""
        with self._storage_errors():
            self._set_attribute(self._frozen(number), _ALONE, True)

    def count_death(self, number: int, epoch: int) -> int:
        """How often the worker of trial `number` has died without progress, this time included.

        Progress is an `epoch` (its last finished one, 0 for none) beyond those of all deaths
        before.
        """
        with self._storage_errors():
            frozen = self._frozen(number)
            before = frozen.user_attrs.get(_DEATH_EPOCH, 0)
            deaths = 1 if epoch > before else int(frozen.user_attrs.get(_DEATHS, 0)) + 1
            self._set_attribute(frozen, _DEATH_EPOCH, max(epoch, before))
            self._set_attribute(frozen, _DEATHS, deaths)
            return deaths

    def constrain(self, number: int, excesses: Mapping[str, float]) -> None:
        """Enter how far trial `number` is beyond each constraint, before it is COMPLETE."""
        with self._storage_errors():
            frozen = self._frozen(number)
            if not frozen.state.is_finished():
                for name, excess in excesses.items():
                    self._study._storage.set_trial_system_attr(
                        frozen._trial_id, f"{_CONSTRAINTS_KEY}:{name}", excess
                    )

    def complete(self, number: int, objectives: Mapping[str, float]) -> None:
        """End trial `number` with its objective values.

        Raises:
            AlreadyEndedError: it has ended otherwise; told the same again, nothing happens.
        """
        values = [objectives[name] for name in self._spec.objectives]
        self._end(number, TrialState.COMPLETE, values)

    def fail(self, number: int, failure: Failure) -> None:
        """End trial `number` as failed.

        Raises:
            AlreadyEndedError: it is COMPLETE; told again that it failed, nothing happens.
        """
        with self._storage_errors():
            frozen = self._frozen(number)
            if not frozen.state.is_finished():
                self._set_attribute(frozen, FAILURE, failure.reason)
                self._set_attribute(frozen, FAILURE_CLASS, failure.kind)
        self._end(number, TrialState.FAIL, None)

    def prune(self, number: int, epoch: int, objectives: Mapping[str, float]) -> None:
        """End trial `number` as stopped early after `epoch`, where it had these `objectives`.

        Of one objective Optuna keeps the value, by which TPE ranks stopped trials; of several
        it can keep none.

        Raises:
            AlreadyEndedError: it has ended otherwise; told again, nothing happens.
        """
        with self._storage_errors():
            frozen = self._frozen(number)
            if len(objectives) == 1 and not frozen.state.is_finished():
                [value] = objectives.values()
                self._study._storage.set_trial_intermediate_value(frozen._trial_id, epoch, value)
        self._end(number, TrialState.PRUNED, None)

    def finished(self) -> int:
        """How many trials have ended."""
        return len(self._trials(*_FINISHED))

    def entry(self, number: int) -> LedgerEntry:
        """The trial `number`; in constant time, which `entries` is not."""
        with self._storage_errors():
            return ledger_entry(self._frozen(number), self._spec)

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All trials by number."""
        return tuple(ledger_entry(trial, self._spec) for trial in self._trials())

    def _enqueue(self, planned: PlannedTrial) -> None:
        """Let the next question be answered by a planned trial.

        Optuna is told no parameters of a point outside the search space: it could only take
        them for those of another.
        """
        if planned.outside:
            attributes = {FIXED: dict(planned.parameters)}
            self._study.enqueue_trial({}, user_attrs=attributes)
        else:
            self._study.enqueue_trial(dict(planned.decided))

    def _suggest(self, trial: optuna.Trial) -> dict[str, Choice]:
        decided, fixed = trial.params, trial.user_attrs.get(FIXED)
        if fixed is not None:
            return dict(fixed)

        def choose(name: str) -> Choice:
            if name in decided:
                value: Choice = decided[name]
                return value
            return _suggestion(trial, name, self._spec.search[name])

        return assigned(self._spec.search, self._spec.base, choose)

    def _end(self, number: int, state: TrialState, values: list[float] | None) -> None:
        with self._storage_errors():
            frozen = self._frozen(number)
            if not frozen.state.is_finished():
                self._set_attribute(frozen, ENDED, time.time())
                self._study.tell(number, values, state)
                return
        # Optuna gives a PRUNED trial its last intermediate value
        other_values = state != TrialState.PRUNED and (frozen.values or None) != values
        if frozen.state != state or other_values:
            raise AlreadyEndedError(
                f"trial {number} is {frozen.state.name} with {frozen.values}, "
                f"and was told to be {state.name} with {values}"
            )
        logger.info("trial %d was told twice to be %s", number, state.name)

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        with self._storage_errors():
            return self._study.get_trials(deepcopy=False, states=states or tuple(STATES))

    def _set_attribute(self, trial: FrozenTrial, name: str, value: bool | float | str) -> None:
        """Without an `optuna.Trial`, whose construction samples for it."""
        self._study._storage.set_trial_user_attr(trial._trial_id, name, value)

    def _frozen(self, number: int) -> FrozenTrial:
        storage = self._study._storage
        trial_id = storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
        return storage.get_trial(trial_id)


def _suggestion(trial: optuna.Trial, name: str, parameter: Parameter) -> Choice:
    if isinstance(parameter, CategoricalParameter):
        choice = trial.suggest_categorical(name, parameter.choices)
        assert choice is not None
        return choice
    if isinstance(parameter, IntParameter):
        return trial.suggest_int(name, parameter.low, parameter.high, log=parameter.log)
    return trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
