"""What SQLite alone can suffer: damage, and other hosts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from balpoe.config import StudySpec
from balpoe.errors import CorruptFile, UserError
from balpoe.launch.storage_option import choose_storage
from balpoe.study.records.ledger import Ledger
from balpoe.study.storage.host import Host, this_host
from balpoe.study.storage.postgres_address import VARIABLE
from balpoe.study.storage.postgres_storage import PostgresStorage
from balpoe.study.storage.sqlite_storage import SqliteStorage
from balpoe.study.storage.storage_record import record_storage, refuse_local_storage_on
from balpoe.study.trials.directory import StudyDirectory

MakeSpec = Callable[..., StudySpec]
ELSEWHERE = Host("node-7", "another kernel")


def test_a_damaged_storage_is_refused_by_name(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    Ledger(make_spec(), directory).ask()
    content = bytearray(directory.database.read_bytes())
    content[:16] = bytes(16)
    directory.database.write_bytes(content)
    with pytest.raises(CorruptFile, match=r"optuna\.db: damaged"):
        Ledger(make_spec(), directory)


def test_a_storage_that_was_made_in_part_is_made_anew(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    """Optuna's tables come one by one: their creation may be killed between any two."""

    def kill(connection: object, cursor: object, statement: str, *_: object) -> None:
        if "CREATE UNIQUE INDEX" in statement:
            raise KeyboardInterrupt

    event.listen(Engine, "before_cursor_execute", kill)
    try:
        with pytest.raises(KeyboardInterrupt):
            Ledger(make_spec(), directory)
    finally:
        event.remove(Engine, "before_cursor_execute", kill)
    assert not directory.database.exists()
    for _ in range(2):
        Ledger(make_spec(), directory).ask()
    assert len(Ledger(make_spec(), directory).records()) == 2
    left = set(directory.path.glob("*optuna.db*"))
    assert left == {directory.database, directory.database_lock}


def test_a_launch_on_other_hosts_is_refused_unless_they_can_share_the_storage(
    directory: StudyDirectory,
) -> None:
    refuse_local_storage_on([this_host(), this_host()], directory)
    with pytest.raises(UserError, match=r"would run on node-7 too; .*--storage postgresql://"):
        refuse_local_storage_on([this_host(), ELSEWHERE], directory)
    record_storage(directory, PostgresStorage("postgresql://me@db/studies"))
    refuse_local_storage_on([this_host(), ELSEWHERE], directory)


def test_a_study_that_was_refused_takes_a_database_under_its_name_and_one_that_has_trials_does_not(
    make_spec: MakeSpec, directory: StudyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "postgresql://me@db/studies")
    directory.specification.write_text("written before the refusal")
    assert choose_storage(directory, None) == PostgresStorage("postgresql://me@db/studies")
    Ledger(make_spec(), directory).ask()
    assert isinstance(choose_storage(directory, None), SqliteStorage)
    with pytest.raises(UserError, match="keep it in PostgreSQL under another name: balpoe run"):
        refuse_local_storage_on([ELSEWHERE], directory)
