"""The storage of a study, as its directory records it: SQLite in it, or a database elsewhere.

The record `storage.json` has no password. It has a mark of the directory, which the database has
too: a database knows studies by their names alone.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

from balpoe.atomic_write import write_text_atomically
from balpoe.errors import UserError
from balpoe.json_record import read_record
from balpoe.study.storage.host import Host, this_host
from balpoe.study.storage.lease import LeaseHolder
from balpoe.study.storage.postgres_address import VARIABLE, address_of
from balpoe.study.storage.postgres_storage import PostgresStorage
from balpoe.study.storage.sqlite_storage import SqliteStorage
from balpoe.study.storage.storage_interface import ConfirmLease, StudyStorage
from balpoe.study.trials.directory import StudyDirectory


@dataclass(frozen=True, slots=True)
class _StorageRecord:
    """The content of `storage.json`."""

    address: str
    mark: str


def storage_of(directory: StudyDirectory) -> StudyStorage:
    """Return the storage of the study in `directory`.

    Raises:
        CorruptFile: the record is damaged.
    """
    record = _read_record(directory)
    return SqliteStorage(directory) if record is None else PostgresStorage(record.address)


def mark_of(directory: StudyDirectory) -> str | None:
    """Return the mark that the study's storage must have; None in SQLite, which needs none.

    Raises:
        CorruptFile: the record is damaged.
    """
    record = _read_record(directory)
    return None if record is None else record.mark


def record_storage(directory: StudyDirectory, storage: StudyStorage) -> None:
    """Record that the study in `directory` has `storage`; the default needs no record.

    Raises:
        UserError: the study has another storage already.
        StorageError: the directory cannot be written.
    """
    refuse_another_storage(directory, storage)
    if storage.is_shared and not directory.storage.is_file():
        record = _StorageRecord(str(storage), mark=secrets.token_hex(8))
        write_text_atomically(directory.storage, json.dumps(asdict(record), indent=1) + "\n")


def has_storage(directory: StudyDirectory) -> bool:
    """Return whether the study in `directory` has a storage already."""
    return directory.storage.is_file() or directory.database.exists()


def refuse_another_storage(directory: StudyDirectory, storage: StudyStorage) -> None:
    """Refuse to continue a study in a storage that has none of its trials.

    Raises:
        UserError: the study in `directory` has another storage than `storage`.
    """
    there = storage_of(directory)
    if has_storage(directory) and there != storage:
        raise UserError(
            f"--storage: the study {directory.path.name} has its trials in {there}, not in "
            f"{storage}; leave the option out, or give the study another name"
        )


def refuse_local_storage_on(hosts: Iterable[Host], directory: StudyDirectory) -> None:
    """Refuse SQLite where a trial may run on another host than the driver's.

    A shared file system neither locks nor orders writes as SQLite and the lease need it.

    Raises:
        UserError: one of `hosts` is not this one, and the study in `directory` is in SQLite.
    """
    others = sorted({host.name for host in hosts if host != this_host()})
    if others and not storage_of(directory).is_shared:
        name = " under another name" if has_storage(directory) else ""
        raise UserError(
            f"{directory.path.name}: has its trials in SQLite, which one host can use, and would "
            f"run on {', '.join(others)} too; keep it in PostgreSQL{name}: "
            f"balpoe run FILE --storage postgresql://USER@HOST/DATABASE (or {VARIABLE})"
        )


def hold_study(
    directory: StudyDirectory, storage: StudyStorage | None = None
) -> AbstractContextManager[ConfirmLease]:
    """Return a block that holds the lease of the study in `directory`, as `hold_lease` does.

    `storage` is the storage that a new study will have; by default the one that is recorded.
    """
    return (storage or storage_of(directory)).hold_lease(directory.path.name)


def driver_of(directory: StudyDirectory) -> LeaseHolder | None:
    """Return the driver that runs the study in `directory`, as `lease_holder` does."""
    return storage_of(directory).lease_holder(directory.path.name)


def _read_record(directory: StudyDirectory) -> _StorageRecord | None:
    file = directory.storage
    if not file.is_file():
        return None
    record = read_record(file, _StorageRecord, "restore it, or the study has no trials")
    address_of(record.address, str(file))
    return record
