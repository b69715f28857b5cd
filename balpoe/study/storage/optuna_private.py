"""What this package needs of Optuna (5.0) beyond its documented interface.

`tests/study/test_private_names.py` names what another release lacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial

_QUEUED_PARAMETERS = "fixed_params"  # the key under which `enqueue_trial` stores parameters


def frozen_trial(study: optuna.Study, number: int) -> FrozenTrial:
    """Return trial `number` in constant time."""
    storage = study._storage
    trial_id = storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    return storage.get_trial(trial_id)


def resumed_trial(study: optuna.Study, trial: FrozenTrial) -> optuna.Trial:
    """Return a RUNNING trial such that further parameters can be suggested."""
    return optuna.Trial(study, trial._trial_id)


def set_attributes(
    study: optuna.Study, trial: FrozenTrial, attributes: Mapping[str, bool | float | str]
) -> None:
    """Set user attributes; an `optuna.Trial` would sample parameters at its construction."""
    for name, value in attributes.items():
        study._storage.set_trial_user_attr(trial._trial_id, name, value)


def set_constraint(study: optuna.Study, trial: FrozenTrial, name: str, excess: float) -> None:
    """Set the excess of a trial over a constraint."""
    key = f"{_CONSTRAINTS_KEY}:{name}"
    study._storage.set_trial_system_attr(trial._trial_id, key, excess)


def set_intermediate_value(
    study: optuna.Study, trial: FrozenTrial, step: int, value: float
) -> None:
    """Set an intermediate value of a trial."""
    study._storage.set_trial_intermediate_value(trial._trial_id, step, value)


def queued_parameters(trial: FrozenTrial) -> Mapping[str, Any]:
    """Return the parameters with which a trial was enqueued; empty if it was not."""
    queued: Mapping[str, Any] = trial.system_attrs.get(_QUEUED_PARAMETERS, {})
    return queued


class DatabaseStorage(RDBStorage):
    """Optuna's database storage, with public names for the methods that its cache calls."""

    def create_frozen_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> FrozenTrial:
        """Create a trial."""
        return super()._create_new_trial(study_id, template_trial)

    def read_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
        """Read trials of a study."""
        return super()._get_trials(*args, **kwargs)

    def set_parameter(
        self,
        trial_id: int,
        name: str,
        value: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None,
    ) -> None:
        """Set a parameter of a trial."""
        super()._set_trial_param(trial_id, name, value, distribution, previous_distribution)

    def _create_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> FrozenTrial:
        return self.create_frozen_trial(study_id, template_trial)

    def _get_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
        return self.read_trials(*args, **kwargs)

    def _set_trial_param(self, *args: Any, **kwargs: Any) -> None:
        self.set_parameter(*args, **kwargs)


class TrialCache(_CachedStorage):
    """Optuna's cache in front of a database storage, with public names for its parts."""

    def study_of(self, trial_id: int) -> int | None:
        """Return the study of a trial in the cache; None if the trial is not in it."""
        found = self._trial_id_to_study_id_and_number.get(trial_id)
        return None if found is None else found[0]

    def cached_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial in the cache."""
        study_id, number = self._trial_id_to_study_id_and_number[trial_id]
        return self._studies[study_id].trials[number]

    def refresh(self, study_id: int) -> None:
        """Read the trials of a study that may have changed; called before trials are returned."""
        super()._read_trials_from_remote_storage(study_id)

    def reread(self, study_id: int, trial_ids: Iterable[int]) -> None:
        """Read trials of a study."""
        trials = [self._backend.get_trial(trial_id) for trial_id in trial_ids]
        with self._lock:
            self._add_trials_to_cache(study_id, trials)

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        self.refresh(study_id)
