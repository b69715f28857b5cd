"""Open the Optuna study of a study, and translate the errors of its storage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import optuna
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from balpoe.config import StudySpec
from balpoe.config.earlier_names import balanced_name
from balpoe.errors import StorageError, UserError
from balpoe.study.storage.host import this_host
from balpoe.study.storage.reconnecting_storage import StorageUnavailable
from balpoe.study.storage.sole_writer_storage import SoleWriterStorage
from balpoe.study.storage.storage_interface import ConfirmLease, StudyStorage, unconfirmed
from balpoe.study.storage.storage_record import mark_of, storage_of
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.earlier_records import has_earlier_names

# Optuna would print a line for every study and trial
optuna.logging.set_verbosity(optuna.logging.WARNING)

_OBJECTIVES, _MARK, _PLACE = "objectives", "mark", "place"


def open_study(
    spec: StudySpec, directory: StudyDirectory, confirm: ConfirmLease | None
) -> optuna.Study:
    """Open the study `spec` in the storage of `directory`; create it if it does not exist.

    With `confirm`, this process holds the lease of the study: no other process writes its trials,
    which are therefore kept in memory.

    Raises:
        CorruptFile: the storage is damaged.
        StorageError: the storage cannot be opened or written.
        UserError: the study exists with other objectives, or is that of another directory.
    """
    storage, mark = storage_of(directory), mark_of(directory)
    with storage_errors(storage), storage.locked_creation():
        trials = storage.open(confirm or unconfirmed)
        study = optuna.create_study(
            study_name=spec.name,
            storage=SoleWriterStorage(trials) if confirm else trials,
            directions=list(spec.objectives.values()),
            load_if_exists=True,
        )
        if mark is not None:
            _refuse_another_directory(study, directory, mark)
        _refuse_other_objectives(study, spec, directory)
    return study


@contextmanager
def storage_errors(storage: StudyStorage) -> Iterator[None]:
    """Translate errors of `storage` in the block into StorageError."""
    try:
        yield
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError, StorageUnavailable) as error:
        cause = error.__cause__
        reason: BaseException = cause if isinstance(cause, SQLAlchemyError) else error
        if isinstance(reason, DBAPIError) and reason.orig is not None:
            reason = reason.orig
        raise StorageError(storage.failure(reason)) from error


def _refuse_another_directory(study: optuna.Study, directory: StudyDirectory, mark: str) -> None:
    """Refuse a study of the same name, whose files are in another directory."""
    found = study.user_attrs
    if _MARK not in found:
        study.set_user_attr(_PLACE, f"{this_host().name}:{directory.path}")
        study.set_user_attr(_MARK, mark)
    elif found[_MARK] != mark:
        raise UserError(
            f"{directory.path}: the storage has a study {study.study_name} whose files are in "
            f"{found[_PLACE]}; continue it there, or give this one another name or database"
        )


def _refuse_other_objectives(
    study: optuna.Study, spec: StudySpec, directory: StudyDirectory
) -> None:
    wanted = {name: str(direction) for name, direction in spec.objectives.items()}
    names = study.user_attrs.get(_OBJECTIVES)
    if names is None:
        study.set_user_attr(_OBJECTIVES, list(wanted))
        names = list(wanted)
    directions = [direction.name.lower() for direction in study.directions]
    found = dict(zip(names, directions, strict=True))
    same = list(found.items()) == list(wanted.items())
    if not same and has_earlier_names(directory):
        same = _with_balanced_names(found) == _with_balanced_names(wanted)
    if not same:
        raise UserError(
            f"objectives: the study {spec.name} has {found}, and cannot be continued "
            f"with {wanted}; restore them or give the study another name"
        )


def _with_balanced_names(directions: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(balanced_name(name), direction) for name, direction in directions.items()]
