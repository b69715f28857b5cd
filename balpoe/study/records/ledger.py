"""The ledger of a study: its trials in Optuna's storage, which decides their parameters and state.

A trial is proposed once, resumed after every interruption under its number and with its
parameters, and ends once.
"""

from __future__ import annotations

import functools
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState

from balpoe.config import CategoricalParameter, Choice, IntParameter, Parameter, StudySpec
from balpoe.config.assignment import assigned
from balpoe.config.known_points import KnownPoint
from balpoe.study.records.optuna_trial import (
    ENDED,
    FAILURE,
    FAILURE_CLASS,
    FIXED,
    STARTED,
    STATES,
    changed_retries,
    parameters_of,
    record_of,
    retries_of,
)
from balpoe.study.search.earlier_trials import EarlierStudy
from balpoe.study.search.launch_sampler import launch_sampler
from balpoe.study.search.planned_trials import PlannedTrial, not_yet_tried, planned_trials
from balpoe.study.search.warm_start import WarmStart
from balpoe.study.storage.optuna_private import (
    frozen_trial,
    resumed_trial,
    set_attributes,
    set_constraint,
    set_intermediate_value,
)
from balpoe.study.storage.optuna_study import open_study, storage_errors
from balpoe.study.storage.storage_interface import ConfirmLease
from balpoe.study.storage.storage_record import storage_of
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.failures import Failure
from balpoe.study.trials.record import TrialIdentity, TrialRecord, TrialToRun
from balpoe.study.trials.retries import RetryState

logger = logging.getLogger(__name__)

_LAUNCHES, _LAUNCHED = "launches", "launched"
_REQUEST = "request"
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class AlreadyEndedError(Exception):
    """A second, different end was entered for a trial: a fault of this package, not of the user."""


class Ledger:
    """The trials of the study `spec` in the storage of `directory`, which is created if needed.

    Only the launch that holds the study's lease writes: it passes `confirm_lease`, which raises
    once the lease is lost, and keeps the trials in memory. Other processes read them anew.

    Raises:
        CorruptFile: the storage is damaged.
        StorageError: the storage cannot be opened or written.
        UserError: the study exists with other objectives, or is that of another directory.
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
        """Count one more launch, from 0, and seed the sampler for it; return its number.

        With the same seed, the sampler would repeat the proposals of the launch before. The
        sampler also learns from the trials of `earlier` studies.
        """
        with self._storage_errors():
            launch = int(self._study.user_attrs.get(_LAUNCHES, 0))
            self._study.set_user_attr(_LAUNCHES, launch + 1)
            self._study.set_user_attr(_LAUNCHED, [*self.launches(), time.time()])
        sampler = launch_sampler(self._spec, launch)
        self._warm_start = WarmStart(self._spec, earlier, sampler) if earlier else None
        self._study.sampler = RandomSampler() if earlier else sampler
        tried = [parameters_of(trial, self._spec) for trial in self._trials(*TrialState)]
        self._planned = deque(not_yet_tried(planned_trials(self._spec), tried))
        return launch

    def launches(self) -> tuple[float, ...]:
        """Return the times at which the launches began, in Unix seconds."""
        with self._storage_errors():
            return tuple(self._study.user_attrs.get(_LAUNCHED, ()))

    def ask(self) -> TrialToRun:
        """Propose a new trial, a planned one while there are any; its state becomes RUNNING."""
        with self._storage_errors():
            if not self._trials(TrialState.WAITING):
                if self._planned:
                    self._enqueue(self._planned.popleft())
                elif self._warm_start is not None:
                    return self._ask_warm_started(self._warm_start)
            return self._started(self._study.ask())

    def enqueue(self, point: KnownPoint, request: str) -> None:
        """Have Optuna propose a point next, before planned trials; once for the same `request`."""
        planned = PlannedTrial(point.parameters, point.decided, bool(point.outside))
        with self._storage_errors():
            known = {trial.user_attrs.get(_REQUEST) for trial in self._trials(*TrialState)}
            if request not in known:
                self._enqueue(planned, {_REQUEST: request})

    def waiting(self) -> tuple[int, ...]:
        """Return the numbers of the trials that wait to be asked for."""
        return tuple(trial.number for trial in self._trials(TrialState.WAITING))

    def _ask_warm_started(self, warm_start: WarmStart) -> TrialToRun:
        proposed = warm_start.ask(self._study.get_trials(deepcopy=False))
        self._suggest(proposed)
        self._study.enqueue_trial(proposed.params)
        trial = self._study.ask()
        warm_start.assign(trial.number, proposed)
        return self._started(trial)

    def _started(self, trial: optuna.Trial) -> TrialToRun:
        trial.set_user_attr(STARTED, time.time())
        return TrialToRun(self._identity(trial.number), self._suggest(trial))

    def _identity(self, number: int, attempt: int = 0) -> TrialIdentity:
        return TrialIdentity(self._spec.name, number, attempt=attempt)

    def is_exhausted(self) -> bool:
        """Return whether all points of a grid were proposed; False for other samplers."""
        if not self._spec.sampler.is_exhaustive:
            return False
        return not (self._planned or self._trials(TrialState.WAITING))

    def running(self) -> tuple[int, ...]:
        """Return the numbers of the RUNNING trials."""
        return tuple(trial.number for trial in self._trials(TrialState.RUNNING))

    def resume(self, identity: TrialIdentity) -> TrialToRun:
        """Begin one more attempt at a RUNNING trial, with the parameters that it has.

        A driver that died between proposing a trial and its last parameter leaves some
        undecided: those are suggested now.
        """
        with self._storage_errors():
            frozen = self._frozen(identity)
            before = retries_of(frozen)
            after = before.next_attempt()
            trial = resumed_trial(self._study, frozen)
            set_attributes(self._study, frozen, changed_retries(before, after))
            identity = self._identity(identity.number, after.attempt)
            return TrialToRun(identity, self._suggest(trial), after)

    def retries(self, identity: TrialIdentity) -> RetryState:
        """Return the attempts at a trial so far."""
        with self._storage_errors():
            return retries_of(self._frozen(identity))

    def write_retries(self, identity: TrialIdentity, state: RetryState) -> None:
        """Write the attempts at a trial so far."""
        with self._storage_errors():
            frozen = self._frozen(identity)
            set_attributes(self._study, frozen, changed_retries(retries_of(frozen), state))

    def constrain(self, identity: TrialIdentity, excesses: Mapping[str, float]) -> None:
        """Enter the excess of a trial over each constraint, before it is COMPLETE."""
        with self._storage_errors():
            frozen = self._frozen(identity)
            if not frozen.state.is_finished():
                for name, excess in excesses.items():
                    set_constraint(self._study, frozen, name, excess)

    def complete(self, identity: TrialIdentity, objectives: Mapping[str, float]) -> None:
        """End a trial with its objective values; entering the same values again has no effect.

        Raises:
            AlreadyEndedError: the trial has another end.
        """
        values = [objectives[name] for name in self._spec.objectives]
        self._end(identity, TrialState.COMPLETE, values)

    def fail(self, identity: TrialIdentity, failure: Failure) -> None:
        """End a trial as failed; entering another failure has no effect.

        Raises:
            AlreadyEndedError: the trial has ended and did not fail.
        """
        with self._storage_errors():
            frozen = self._frozen(identity)
            if not frozen.state.is_finished():
                attributes = {FAILURE: failure.reason, FAILURE_CLASS: failure.kind}
                set_attributes(self._study, frozen, attributes)
        self._end(identity, TrialState.FAIL, None)

    def prune(self, identity: TrialIdentity, epoch: int, objectives: Mapping[str, float]) -> None:
        """End a trial as pruned after `epoch`, where it had these `objectives`; once.

        Optuna keeps the value of a single objective, by which TPE ranks pruned trials; it cannot
        keep the values of several.

        Raises:
            AlreadyEndedError: the trial has another end.
        """
        with self._storage_errors():
            frozen = self._frozen(identity)
            if len(objectives) == 1 and not frozen.state.is_finished():
                [value] = objectives.values()
                set_intermediate_value(self._study, frozen, epoch, value)
        self._end(identity, TrialState.PRUNED, None)

    def finished(self) -> int:
        """Return the number of trials that have ended."""
        return len(self._trials(*_FINISHED))

    def record(self, identity: TrialIdentity) -> TrialRecord:
        """Return the record of a trial, without its history; in constant time."""
        with self._storage_errors():
            return record_of(self._frozen(identity), self._spec)

    def records(self) -> tuple[TrialRecord, ...]:
        """Return the records of all trials by number, without their histories."""
        return tuple(record_of(trial, self._spec) for trial in self._trials())

    def _enqueue(self, planned: PlannedTrial, attributes: Mapping[str, str] | None = None) -> None:
        """Have Optuna propose a planned trial next.

        Of a point outside the search space Optuna gets no parameters: it would take them for
        those of another point.
        """
        if planned.outside:
            fixed = {FIXED: dict(planned.parameters)}
            self._study.enqueue_trial({}, user_attrs={**fixed, **(attributes or {})})
        else:
            self._study.enqueue_trial(dict(planned.decided), user_attrs=dict(attributes or {}))

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

    def _end(self, identity: TrialIdentity, state: TrialState, values: list[float] | None) -> None:
        number = identity.number
        with self._storage_errors():
            frozen = self._frozen(identity)
            if not frozen.state.is_finished():
                set_attributes(self._study, frozen, {ENDED: time.time()})
                self._study.tell(number, values, state)
                return
        # Optuna gives a PRUNED trial its last intermediate value
        other_values = state != TrialState.PRUNED and (frozen.values or None) != values
        if frozen.state != state or other_values:
            raise AlreadyEndedError(
                f"trial {number} is {frozen.state.name} with {frozen.values}, "
                f"and cannot become {state.name} with {values}"
            )
        logger.info("trial %d was entered twice as %s", number, state.name)

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        with self._storage_errors():
            return self._study.get_trials(deepcopy=False, states=states or tuple(STATES))

    def _frozen(self, identity: TrialIdentity) -> FrozenTrial:
        return frozen_trial(self._study, identity.number)


def _suggestion(trial: optuna.Trial, name: str, parameter: Parameter) -> Choice:
    if isinstance(parameter, CategoricalParameter):
        choice = trial.suggest_categorical(name, parameter.choices)
        assert choice is not None
        return choice
    if isinstance(parameter, IntParameter):
        return trial.suggest_int(name, parameter.low, parameter.high, log=parameter.log)
    return trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
