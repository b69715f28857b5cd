"""What SQLite alone can suffer: damage, and other hosts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from balpoe.config import StudySpec
from balpoe.errors import CorruptFile, UserError
from balpoe.study.directory import StudyDirectory
from balpoe.study.host import Host, this_host
from balpoe.study.kept_storage import keep_storage, refuse_local_storage_on
from balpoe.study.ledger import Ledger
from balpoe.study.postgres_storage import PostgresStorage

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


def test_a_launch_on_other_hosts_is_refused_unless_they_can_share_the_storage(
    directory: StudyDirectory,
) -> None:
    refuse_local_storage_on([this_host(), this_host()], directory)
    with pytest.raises(UserError, match=r"would run on node-7 too; .*--storage postgresql://"):
        refuse_local_storage_on([this_host(), ELSEWHERE], directory)
    keep_storage(directory, PostgresStorage("postgresql://me@db/studies"))
    refuse_local_storage_on([this_host(), ELSEWHERE], directory)
