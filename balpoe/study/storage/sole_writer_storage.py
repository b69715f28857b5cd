"""Optuna's storage for the only process that writes: it reads again only what it changed.

Optuna reads every unfinished trial again at each access, about ten times for one proposal, because
other processes may have written. With 256 running trials that takes most of the driver's time
(tests/benchmarks/scale.py). The holder of the study's lease reads all trials once, and afterwards
only those that it changed.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from balpoe.study.storage.optuna_private import TrialCache

Method = TypeVar("Method", bound=Callable[..., Any])


def _changing(method: Method) -> Method:
    """Wrap a method that changes a trial: the trial is read again afterwards."""

    @functools.wraps(method)
    def change(self: SoleWriterStorage, trial_id: int, *args: Any, **kwargs: Any) -> Any:
        # before the change: after a failure it is unknown whether the trial changed
        self.changed.add(trial_id)
        return method(self, trial_id, *args, **kwargs)

    return cast("Method", change)


class SoleWriterStorage(TrialCache):
    """The trials of one study in `backend`, which no other process changes meanwhile."""

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._is_read = False
        self.changed: set[int] = set()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial; after a failure the trial may exist, so all trials are read again."""
        was_read, self._is_read = self._is_read, False
        trial_id = super().create_new_trial(study_id, template_trial)
        self._is_read = was_read
        return trial_id

    set_trial_param = _changing(TrialCache.set_trial_param)
    set_trial_state_values = _changing(TrialCache.set_trial_state_values)
    set_trial_intermediate_value = _changing(TrialCache.set_trial_intermediate_value)
    set_trial_user_attr = _changing(TrialCache.set_trial_user_attr)
    set_trial_system_attr = _changing(TrialCache.set_trial_system_attr)

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
            self.changed.clear()
        self.reread(study_id, sorted(self.changed))
        self.changed.clear()
