"""Optuna's storage as the one process sees it that writes there: what it wrote, it knows.

Optuna reads every unfinished trial anew whenever it looks at the trials, some ten times for one
proposal, since other processes might have written: with a trial on each of 256 devices that is
what a study's driver does most of the time (tests/benchmarks/scale.py). Here the holder of the
study's lease reads all trials once, and from then on only those that it changed.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import FrozenTrial, TrialState


class SoleWriterStorage(_CachedStorage):
    """The trials of one study in `backend`, which nobody else changes while this is used."""

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._is_read = False
        # noted before the change: one that fails leaves open what became of it
        self._changed: set[int] = set()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Where it fails, there may be a trial all the same, to be looked for."""
        was_read, self._is_read = self._is_read, False
        trial_id = super().create_new_trial(study_id, template_trial)
        self._is_read = was_read
        return trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """Decide a parameter."""
        self._changed.add(trial_id)
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Begin or end a trial."""
        self._changed.add(trial_id)
        return super().set_trial_state_values(trial_id, state, values)

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        """Enter a point of a curve."""
        self._changed.add(trial_id)
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Enter something of ours."""
        self._changed.add(trial_id)
        super().set_trial_user_attr(trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Enter something of Optuna's."""
        self._changed.add(trial_id)
        super().set_trial_system_attr(trial_id, key, value)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A trial from memory; of an unfinished one a copy, as Optuna changes what it is given."""
        if trial_id not in self._trial_id_to_study_id_and_number:
            return super().get_trial(trial_id)
        study_id, number = self._trial_id_to_study_id_and_number[trial_id]
        self._read_trials_from_remote_storage(study_id)
        trial = self._studies[study_id].trials[number]
        return trial if trial.state.is_finished() else copy.deepcopy(trial)

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        if not self._is_read:
            super()._read_trials_from_remote_storage(study_id)
            self._is_read = True
            self._changed.clear()
        trials = [self._backend.get_trial(trial_id) for trial_id in sorted(self._changed)]
        with self._lock:
            self._add_trials_to_cache(study_id, trials)
        self._changed.clear()
