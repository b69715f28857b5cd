"""Optuna's storage on a server that may be away, or out of room: what was begun is finished.

A lost connection leaves open whether the server still did what it was asked for; what met a full
disk was not done. Every change here is such that asking once more is harmless, or is looked for
before it is asked for again: only one process writes, as it holds the study's lease, which is
confirmed before each change.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import OperationalError

from balpoe.study.storage.storage import ConfirmLease

PATIENCE_SECONDS = 60.0

logger = logging.getLogger(__name__)

_DISK_FULL = "53100"  # PostgreSQL's code
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 2.0

P = ParamSpec("P")
Answer = TypeVar("Answer")


class StorageUnavailable(Exception):
    """The database cannot be reached at the moment, or its disk is full."""


def is_disk_full(error: BaseException) -> bool:
    """Whether the server says that its disk is full, in whatever language."""
    return getattr(error, "sqlstate", None) == _DISK_FULL


def persist(attempt: Callable[[bool], Answer]) -> Answer:
    """What `attempt` returns; while the database is unavailable it is made again, for a minute.

    It is told whether it was made before.

    Raises:
        StorageUnavailable: it still is after that time.
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
    method: Callable[Concatenate[RDBStorage, P], Answer],
) -> Callable[Concatenate[ReconnectingStorage, P], Answer]:
    @functools.wraps(method)
    def read(self: ReconnectingStorage, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        return persist(lambda again: method(self, *args, **kwargs))

    return read


def _writing(
    method: Callable[Concatenate[RDBStorage, P], Answer],
) -> Callable[Concatenate[ReconnectingStorage, P], Answer]:
    """For changes that are the same when they are made twice."""

    @functools.wraps(method)
    def write(self: ReconnectingStorage, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        def attempt(again: bool) -> Answer:
            self.confirm()
            return method(self, *args, **kwargs)

        return persist(attempt)

    return write


class ReconnectingStorage(RDBStorage):
    """The storage at `url`; `confirm` raises before a change where the lease is lost.

    Overridden is what Optuna's cache in front of it calls. `describe` turns an error of the
    server into a sentence.
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
        # Optuna would wrap the error, and ask for a new trial up to five times by itself
        event.listen(self.engine, "handle_error", self._tell_what_may_pass_apart)

    set_study_user_attr = _writing(RDBStorage.set_study_user_attr)
    set_study_system_attr = _writing(RDBStorage.set_study_system_attr)
    set_trial_user_attr = _writing(RDBStorage.set_trial_user_attr)
    set_trial_system_attr = _writing(RDBStorage.set_trial_system_attr)
    set_trial_intermediate_value = _writing(RDBStorage.set_trial_intermediate_value)
    _set_trial_param = _writing(RDBStorage._set_trial_param)

    get_study_id_from_name = _reading(RDBStorage.get_study_id_from_name)
    get_study_name_from_id = _reading(RDBStorage.get_study_name_from_id)
    get_study_directions = _reading(RDBStorage.get_study_directions)
    get_study_user_attrs = _reading(RDBStorage.get_study_user_attrs)
    get_study_system_attrs = _reading(RDBStorage.get_study_system_attrs)
    get_all_studies = _reading(RDBStorage.get_all_studies)
    get_trial = _reading(RDBStorage.get_trial)
    get_trial_id_from_study_id_trial_number = _reading(
        RDBStorage.get_trial_id_from_study_id_trial_number
    )
    get_n_trials = _reading(RDBStorage.get_n_trials)
    _get_trials = _reading(RDBStorage._get_trials)

    def _create_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> FrozenTrial:
        number = self.get_n_trials(study_id)

        def attempt(again: bool) -> FrozenTrial:
            self.confirm()
            if again and self.get_n_trials(study_id) > number:
                return self.get_trial(
                    self.get_trial_id_from_study_id_trial_number(study_id, number)
                )
            return RDBStorage._create_new_trial(self, study_id, template_trial)

        return persist(attempt)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Set the state of a trial, unless an earlier attempt did."""

        def attempt(again: bool) -> bool:
            self.confirm()
            if again and self.get_trial(trial_id).state == state:
                return True
            return RDBStorage.set_trial_state_values(self, trial_id, state, values)

        return persist(attempt)

    def _tell_what_may_pass_apart(self, context: ExceptionContext) -> None:
        if context.is_pre_ping:  # SQLAlchemy connects anew, and that may fail in turn
            return
        failed_to_connect = context.connection is None and isinstance(
            context.sqlalchemy_exception, OperationalError
        )
        no_room = is_disk_full(context.original_exception)
        if context.is_disconnect or failed_to_connect or no_room:
            raise StorageUnavailable(self._describe(context.original_exception))
