"""The storage of the trials of a study: the option `--storage`."""

from __future__ import annotations

import os

from balpoe.errors import UserError
from balpoe.study.object_store.study_files import study_files
from balpoe.study.storage.postgres_address import VARIABLE, address_of, refuse_password
from balpoe.study.storage.postgres_storage import PostgresStorage
from balpoe.study.storage.storage_interface import StudyStorage
from balpoe.study.storage.storage_record import has_storage, refuse_another_storage, storage_of
from balpoe.study.trials.directory import StudyDirectory

OPTION = "--storage"


def choose_storage(directory: StudyDirectory, url: str | None) -> StudyStorage:
    """Return the storage at `url`; without a `url` the storage of the study.

    A new study is stored in BALPOE_STORAGE, else in SQLite in its directory.

    Raises:
        UserError: the URL is not one of a PostgreSQL database or contains a password, the study
            has another storage, or the study is on an object store and has no database.
    """
    if url is not None:
        refuse_password(url, OPTION)
        storage: StudyStorage = PostgresStorage(address_of(url, OPTION))
        refuse_another_storage(directory, storage)
        return storage
    default = os.environ.get(VARIABLE)
    if default and not has_storage(directory):
        return PostgresStorage(address_of(default, VARIABLE))
    storage = storage_of(directory)
    remote = study_files(directory).remote
    if remote is not None and not storage.is_shared:
        raise UserError(
            f"{remote.url}: a study on an object store needs its trials in PostgreSQL; name a "
            f"database: {OPTION} postgresql://USER@HOST/DATABASE (or {VARIABLE})"
        )
    return storage
