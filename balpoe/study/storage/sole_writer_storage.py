"""Optuna's storage for the only process that writes: it reads again only what it changed.

Optuna reads every unfinished trial again at each access, about ten times for one proposal, because
other processes may have written. With 256 running trials that takes most of the driver's time
(tests/benchmarks/scale.py). The holder of the study's lease reads all trials once, and afterwards
only those that it changed.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from balpoe.study.storage.optuna_private import TrialCache


class SoleWriterStorage(TrialCache):
    """The trials of one study in `backend`, which no other process changes meanwhile."""

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._is_read = False
        # added before the change: after a failure it is unknown whether the trial changed
        self._changed: set[int] = set()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial; after a failure the trial may exist, so all trials are read again."""
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
        """Set a parameter."""
        self._changed.add(trial_id)
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Set the state of a trial."""
        self._changed.add(trial_id)
        return super().set_trial_state_values(trial_id, state, values)

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        """Set an intermediate value."""
        self._changed.add(trial_id)
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a user attribute."""
        self._changed.add(trial_id)
        super().set_trial_user_attr(trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a system attribute."""
        self._changed.add(trial_id)
        super().set_trial_system_attr(trial_id, key, value)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial from memory; an unfinished one as a copy, because Optuna changes it."""
        study_id = self.study_of(trial_id)
        if study_id is None:
            return super().get_trial(trial_id)
        self.refresh(study_id)
        trial = self.cached_trial(trial_id)
        return trial if trial.state.is_finished() else copy.deepcopy(trial)

    def refresh(self, study_id: int) -> None:
        """Read all trials once, then those that this process changed."""
        if not self._is_read:
            super().refresh(study_id)
            self._is_read = True
            self._changed.clear()
        self.reread(study_id, sorted(self._changed))
        self._changed.clear()
