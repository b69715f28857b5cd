"""Which storage a study that is launched has its trials in."""

from __future__ import annotations

import os

from balpoe.errors import UserError
from balpoe.study.object_store.study_files import study_files
from balpoe.study.storage.postgres_address import VARIABLE, address_of, refuse_password
from balpoe.study.storage.postgres_storage import PostgresStorage
from balpoe.study.storage.storage import StudyStorage
from balpoe.study.storage.study_storage import has_storage, refuse_another_storage, storage_of
from balpoe.study.trials.directory import StudyDirectory

OPTION = "--storage"


def chosen_storage(directory: StudyDirectory, wanted: str | None) -> StudyStorage:
    """The storage that was `wanted`; without a wish the one that the study has.

    A new study has that of BALPOE_STORAGE, else SQLite in its directory.

    Raises:
        UserError: it is no PostgreSQL database, `wanted` names a password, or the study has its
            trials in another, or it is on an object store and names none.
    """
    if wanted is not None:
        refuse_password(wanted, OPTION)
        storage: StudyStorage = PostgresStorage(address_of(wanted, OPTION))
        refuse_another_storage(directory, storage)
        return storage
    storage = _without_a_wish(directory)
    remote = study_files(directory).remote
    if remote is not None and not storage.is_shared:
        raise UserError(
            f"{remote.url}: a study on an object store needs its trials in PostgreSQL; name a "
            f"database: {OPTION} postgresql://USER@HOST/DATABASE (or {VARIABLE})"
        )
    return storage


def _without_a_wish(directory: StudyDirectory) -> StudyStorage:
    by_environment = os.environ.get(VARIABLE)
    if by_environment and not has_storage(directory):
        return PostgresStorage(address_of(by_environment, VARIABLE))
    return storage_of(directory)
