"""Optuna's study in its storage: created once, refused where it is another, its errors ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from balpoe.config import StudySpec
from balpoe.errors import StorageError, UserError
from balpoe.study.storage.host import this_host
from balpoe.study.storage.reconnecting import StorageUnavailable
from balpoe.study.storage.sole_writer import SoleWriterStorage
from balpoe.study.storage.storage import ConfirmLease, StudyStorage, unconfirmed
from balpoe.study.storage.storage_record import kept_storage
from balpoe.study.trials.directory import StudyDirectory

# Optuna would print a line for every study and trial
optuna.logging.set_verbosity(optuna.logging.WARNING)

_OBJECTIVES, _MARK, _PLACE = "objectives", "mark", "place"


def open_study(
    spec: StudySpec, directory: StudyDirectory, confirm: ConfirmLease | None
) -> optuna.Study:
    """The study `spec` in the storage of `directory`, created if need be.

    Who gives `confirm` holds the lease of the study, and alone changes its trials.

    Raises:
        CorruptFile: the storage is damaged.
        StorageError: the storage cannot be opened or written.
        UserError: the study exists with other objectives, or belongs to another directory.
    """
    kept = kept_storage(directory)
    with storage_errors(kept.storage), kept.storage.creating():
        storage = kept.storage.open(confirm or unconfirmed)
        study = optuna.create_study(
            study_name=spec.name,
            storage=SoleWriterStorage(storage) if confirm else storage,
            directions=list(spec.objectives.values()),
            load_if_exists=True,
        )
        if kept.mark is not None:
            _refuse_another_directory(study, directory, kept.mark)
        _refuse_other_objectives(study, spec)
    return study


@contextmanager
def storage_errors(storage: StudyStorage) -> Iterator[None]:
    """Tell what goes wrong with `storage` in the block as a StorageError."""
    try:
        yield
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError, StorageUnavailable) as error:
        cause = error.__cause__
        reason: BaseException = cause if isinstance(cause, SQLAlchemyError) else error
        if isinstance(reason, DBAPIError) and reason.orig is not None:
            reason = reason.orig
        raise StorageError(storage.failure(reason)) from error


def _refuse_another_directory(study: optuna.Study, directory: StudyDirectory, mark: str) -> None:
    """A database knows studies by their names alone, and two directories may have the same."""
    found = study.user_attrs
    if _MARK not in found:
        study.set_user_attr(_PLACE, f"{this_host().name}:{directory.path}")
        study.set_user_attr(_MARK, mark)
    elif found[_MARK] != mark:
        raise UserError(
            f"{directory.path}: the storage has a study {study.study_name} whose files are in "
            f"{found[_PLACE]}; continue it there, or give this one another name or database"
        )


def _refuse_other_objectives(study: optuna.Study, spec: StudySpec) -> None:
    wanted = {name: str(direction) for name, direction in spec.objectives.items()}
    names = study.user_attrs.get(_OBJECTIVES)
    if names is None:
        study.set_user_attr(_OBJECTIVES, list(wanted))
        names = list(wanted)
    directions = [direction.name.lower() for direction in study.directions]
    found = dict(zip(names, directions, strict=True))
    if list(found.items()) != list(wanted.items()):
        raise UserError(
            f"objectives: the study {spec.name} has {found}, and cannot be continued "
            f"with {wanted}; restore them or give the study another name"
        )
