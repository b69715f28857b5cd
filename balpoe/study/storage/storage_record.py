"""Which storage a study has, as its directory says: the default, or one that was named.

The file beside the study's specification has no password, and names the study's directory by a
mark that the storage knows: databases know studies by their names alone.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from balpoe.atomic_write import write_text_atomically
from balpoe.errors import CorruptFile, UserError
from balpoe.study.storage.host import Host, this_host
from balpoe.study.storage.postgres_address import VARIABLE, address_of
from balpoe.study.storage.postgres_storage import PostgresStorage
from balpoe.study.storage.sqlite_storage import SqliteStorage
from balpoe.study.storage.storage import StudyStorage
from balpoe.study.trials.directory import StudyDirectory


@dataclass(frozen=True, slots=True)
class KeptStorage:
    """The storage of a study, and the mark of its directory; SQLite lies in it and needs none."""

    storage: StudyStorage
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the file says."""

    address: str
    mark: str


def kept_storage(directory: StudyDirectory) -> KeptStorage:
    """The storage of the study in `directory`.

    Raises:
        CorruptFile: the file that names it is damaged.
    """
    kept = _read(directory)
    if kept is None:
        return KeptStorage(SqliteStorage(directory.database, directory.database_lock))
    return KeptStorage(PostgresStorage(kept.address), kept.mark)


def keep_storage(directory: StudyDirectory, storage: StudyStorage) -> None:
    """Write down that the study in `directory` has `storage`; nothing is written for the default.

    Raises:
        UserError: it has another already.
        StorageError: the directory cannot be written.
    """
    refuse_another_storage(directory, storage)
    if isinstance(storage, PostgresStorage) and not directory.storage.is_file():
        kept = _Kept(storage.address, mark=secrets.token_hex(8))
        write_text_atomically(directory.storage, json.dumps(asdict(kept), indent=1) + "\n")


def has_storage(directory: StudyDirectory) -> bool:
    """Whether the study in `directory` has a storage already; one that was refused has none."""
    return directory.storage.is_file() or directory.database.exists()


def refuse_another_storage(directory: StudyDirectory, storage: StudyStorage) -> None:
    """Refuse to continue a study in a storage that knows nothing of its trials.

    Raises:
        UserError: the study in `directory` has another storage than `storage`.
    """
    there = kept_storage(directory).storage
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
    if others and isinstance(kept_storage(directory).storage, SqliteStorage):
        name = " under another name" if has_storage(directory) else ""
        raise UserError(
            f"{directory.path.name}: has its trials in SQLite, which one host can use, and would "
            f"run on {', '.join(others)} too; keep it in PostgreSQL{name}: "
            f"balpoe run FILE --storage postgresql://USER@HOST/DATABASE (or {VARIABLE})"
        )


def _read(directory: StudyDirectory) -> _Kept | None:
    file = directory.storage
    if not file.is_file():
        return None
    try:
        kept = _Kept(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise CorruptFile(
            f"{file}: damaged: {error}; restore it, or the study has no trials"
        ) from error
    address_of(kept.address, str(file))
    return kept
