"""One driver at a time: the lease of a study, held where its trials are.

In SQLite that is a lock of the host's kernel, in PostgreSQL one of the server's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from balpoe.study.storage.lease import LeaseHolder, hold_lease, lease_holder
from balpoe.study.storage.postgres_storage import PostgresStorage
from balpoe.study.storage.storage import ConfirmLease, StudyStorage, unconfirmed
from balpoe.study.storage.storage_record import kept_storage
from balpoe.study.trials.directory import StudyDirectory


@contextmanager
def hold_study(
    directory: StudyDirectory, storage: StudyStorage | None = None
) -> Iterator[ConfirmLease]:
    """Hold the study in `directory` for the length of the block; what it gives confirms that.

    `storage` is where its trials are or will be; by default where the directory says.

    Raises:
        UserError: another driver holds it.
        StorageError: the storage cannot be reached or written.
    """
    storage = storage or kept_storage(directory).storage
    if isinstance(storage, PostgresStorage):
        from balpoe.study.storage.postgres_lease import hold_postgres_lease  # psycopg is an extra

        with hold_postgres_lease(storage, directory.path.name) as confirm:
            yield confirm
    else:
        with hold_lease(directory.lease):
            yield unconfirmed


def driver_of(directory: StudyDirectory) -> LeaseHolder | None:
    """Who runs the study in `directory`; None where nobody does, or has not said so yet.

    Raises:
        StorageError: the storage cannot be reached.
    """
    storage = kept_storage(directory).storage
    if isinstance(storage, PostgresStorage):
        from balpoe.study.storage.postgres_lease import postgres_lease_holder

        return postgres_lease_holder(storage, directory.path.name)
    return lease_holder(directory.lease)
