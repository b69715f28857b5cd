"""Optuna's storage on a server that may be unavailable or out of disk space for a while.

After a lost connection it is unknown whether the server made the last change. Each change can be
repeated without harm, or is looked for before it is repeated. Only the holder of the study's lease
writes, and the lease is confirmed before each change.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import OperationalError

from balpoe.study.storage.optuna_private import DatabaseStorage
from balpoe.study.storage.storage_interface import ConfirmLease

PATIENCE_SECONDS = 60.0

logger = logging.getLogger(__name__)

_DISK_FULL = "53100"  # PostgreSQL's code
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 2.0

P = ParamSpec("P")
Answer = TypeVar("Answer")


class StorageUnavailable(Exception):
    """The database cannot be reached now, or its disk is full."""


def is_disk_full(error: BaseException) -> bool:
    """Return whether the server reports a full disk, independent of its language."""
    return getattr(error, "sqlstate", None) == _DISK_FULL


def persist(attempt: Callable[[bool], Answer]) -> Answer:
    """Return what `attempt` returns; repeat it for a minute while the database is unavailable.

    The argument of `attempt` is whether this is a repetition.

    Raises:
        StorageUnavailable: the database is still unavailable after that time.
    """
    deadline, pause = time.monotonic() + PATIENCE_SECONDS, _FIRST_PAUSE_SECONDS
    again = False
    while True:
        try:
            return attempt(again)
        except StorageUnavailable as error:
            if time.monotonic() > deadline:
                raise
            if not again:
                logger.warning("%s; trying again for %g seconds", error, PATIENCE_SECONDS)
        again = True
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _reading(
    method: Callable[Concatenate[DatabaseStorage, P], Answer],
) -> Callable[Concatenate[ReconnectingStorage, P], Answer]:
    @functools.wraps(method)
    def read(self: ReconnectingStorage, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        return persist(lambda again: method(self, *args, **kwargs))

    return read


def _writing(
    method: Callable[Concatenate[DatabaseStorage, P], Answer],
) -> Callable[Concatenate[ReconnectingStorage, P], Answer]:
    """Wrap a method whose change has the same effect when it is made twice."""

    @functools.wraps(method)
    def write(self: ReconnectingStorage, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        def attempt(again: bool) -> Answer:
            self.confirm()
            return method(self, *args, **kwargs)

        return persist(attempt)

    return write


class ReconnectingStorage(DatabaseStorage):
    """The storage at `url`; `confirm` raises before a change if the lease is lost.

    It overrides the methods that Optuna's cache calls. `describe` returns the message for an error
    of the server.
    """

    def __init__(
        self,
        url: str,
        *,
        engine_kwargs: dict[str, Any],
        confirm: ConfirmLease,
        describe: Callable[[BaseException], str],
    ) -> None:
        super().__init__(url, engine_kwargs)
        self.confirm = confirm
        self._describe = describe
        # Optuna would wrap the error, and request a new trial up to five times
        event.listen(self.engine, "handle_error", self._raise_if_unavailable)

    set_study_user_attr = _writing(DatabaseStorage.set_study_user_attr)
    set_study_system_attr = _writing(DatabaseStorage.set_study_system_attr)
    set_trial_user_attr = _writing(DatabaseStorage.set_trial_user_attr)
    set_trial_system_attr = _writing(DatabaseStorage.set_trial_system_attr)
    set_trial_intermediate_value = _writing(DatabaseStorage.set_trial_intermediate_value)
    set_parameter = _writing(DatabaseStorage.set_parameter)

    get_study_id_from_name = _reading(DatabaseStorage.get_study_id_from_name)
    get_study_name_from_id = _reading(DatabaseStorage.get_study_name_from_id)
    get_study_directions = _reading(DatabaseStorage.get_study_directions)
    get_study_user_attrs = _reading(DatabaseStorage.get_study_user_attrs)
    get_study_system_attrs = _reading(DatabaseStorage.get_study_system_attrs)
    get_all_studies = _reading(DatabaseStorage.get_all_studies)
    get_trial = _reading(DatabaseStorage.get_trial)
    get_trial_id_from_study_id_trial_number = _reading(
        DatabaseStorage.get_trial_id_from_study_id_trial_number
    )
    get_n_trials = _reading(DatabaseStorage.get_n_trials)
    read_trials = _reading(DatabaseStorage.read_trials)

    def create_frozen_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> FrozenTrial:
        """Create a trial, unless an earlier attempt has created it."""
        number = self.get_n_trials(study_id)

        def attempt(again: bool) -> FrozenTrial:
            self.confirm()
            if again and self.get_n_trials(study_id) > number:
                return self.get_trial(
                    self.get_trial_id_from_study_id_trial_number(study_id, number)
                )
            return DatabaseStorage.create_frozen_trial(self, study_id, template_trial)

        return persist(attempt)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Set the state of a trial, unless an earlier attempt has set it."""

        def attempt(again: bool) -> bool:
            self.confirm()
            if again and self.get_trial(trial_id).state == state:
                return True
            return DatabaseStorage.set_trial_state_values(self, trial_id, state, values)

        return persist(attempt)

    def _raise_if_unavailable(self, context: ExceptionContext) -> None:
        if context.is_pre_ping:  # SQLAlchemy reconnects, which may fail in turn
            return
        failed_to_connect = context.connection is None and isinstance(
            context.sqlalchemy_exception, OperationalError
        )
        full_disk = is_disk_full(context.original_exception)
        if context.is_disconnect or failed_to_connect or full_disk:
            raise StorageUnavailable(self._describe(context.original_exception))
