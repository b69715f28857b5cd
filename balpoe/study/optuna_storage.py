"""Optuna's storage of a study: created once, refused where damaged, its errors told as ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import optuna
from sqlalchemy.exc import SQLAlchemyError

from balpoe.config import StudySpec
from balpoe.errors import CorruptFile, StorageError, UserError
from balpoe.file_lock import held_lock
from balpoe.study.directory import StudyDirectory

# Optuna would print a line for every study and trial
optuna.logging.set_verbosity(optuna.logging.WARNING)

_OBJECTIVES = "objectives"


def open_study(spec: StudySpec, directory: StudyDirectory) -> optuna.Study:
    """The study `spec` in the storage of `directory`, created if need be.

    Raises:
        CorruptFile: the storage is damaged.
        StorageError: the storage cannot be opened or written.
        UserError: the study exists with other objectives.
    """
    # one process at a time: Optuna's creation of its tables is a race
    with held_lock(directory.database_lock), storage_errors(directory.database):
        _refuse_damage(directory.database)
        study = optuna.create_study(
            study_name=spec.name,
            storage=optuna.storages.RDBStorage(f"sqlite:///{directory.database}"),
            directions=list(spec.objectives.values()),
            load_if_exists=True,
        )
        _refuse_other_objectives(study, spec)
    return study


@contextmanager
def storage_errors(database: Path) -> Iterator[None]:
    """Tell what goes wrong with `database` in the block as a StorageError."""
    try:
        yield
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
        reason = error.__cause__ or error
        raise StorageError(
            f"{database}: cannot be read or written: {reason}; check the disk's space "
            f"and the permissions; what was recorded so far is kept"
        ) from error


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


def _refuse_damage(database: Path) -> None:
    if not database.exists():
        return
    try:
        with closing(sqlite3.connect(database)) as connection:
            [verdict] = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        raise CorruptFile(
            f"{database}: damaged ({verdict}); restore it from a backup, or move the study's "
            f"directory away to begin anew"
        )
