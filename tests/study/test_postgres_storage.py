"""A study in a real PostgreSQL: refusals, and connections that are lost."""

from __future__ import annotations

import importlib.util
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy.orm import Session

from balpoe.config import StudySpec
from balpoe.errors import CorruptFile, StorageError, UserError
from balpoe.study.records.ledger import Ledger
from balpoe.study.storage import reconnecting_storage
from balpoe.study.storage.postgres_address import VARIABLE, address_of, refuse_password
from balpoe.study.storage.postgres_storage import PostgresStorage
from balpoe.study.storage.reconnecting_storage import StorageUnavailable
from balpoe.study.storage.storage_record import record_storage
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.failures import Failure

MakeSpec = Callable[..., StudySpec]
GOOD = {"val/accuracy": 0.5, "val/ece": 0.1}


class PostgresServer(Protocol):
    password: str
    port: int

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def url(self, database: str, *, user: str = ..., password: str | None = ...) -> str: ...


@pytest.fixture
def directory(tmp_path: Path, postgres_url: str) -> StudyDirectory:
    directory = StudyDirectory.of(tmp_path, "digits")
    directory.create()
    record_storage(directory, PostgresStorage(postgres_url))
    return directory


@contextmanager
def down_for(server: PostgresServer, seconds: float) -> Iterator[None]:
    """The server is stopped, and started while the block is under way."""
    server.stop()
    start = threading.Timer(seconds, server.start)
    start.start()
    try:
        yield
    finally:
        start.join()


def test_a_ledger_goes_on_where_the_server_was_restarted_at_any_moment(
    make_spec: MakeSpec, directory: StudyDirectory, postgres_server: PostgresServer
) -> None:
    ledger = Ledger(make_spec(), directory)
    ledger.begin_launch()
    postgres_server.stop()
    postgres_server.start()
    first = ledger.ask()
    with down_for(postgres_server, 0.5):
        second = ledger.ask()
    with down_for(postgres_server, 0.5):
        ledger.complete(first.identity, GOOD)
    with down_for(postgres_server, 0.5):
        assert [entry.state for entry in ledger.records()] == ["COMPLETE", "RUNNING"]
    assert ledger.records()[second.identity.number].parameters == second.parameters


def test_what_the_server_did_before_its_answer_was_lost_is_not_done_twice(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    ledger = Ledger(make_spec(), directory)
    ledger.begin_launch()
    commit, commits = Session.commit, itertools.count()

    def unanswered(self: Session) -> None:
        commit(self)
        if next(commits) % 2 == 0:
            raise StorageUnavailable("the answer is lost")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "commit", unanswered)
        patch.setattr(reconnecting_storage, "_FIRST_PAUSE_SECONDS", 0.0)
        proposals = [ledger.ask() for _ in range(3)]
        dying, _, failing = (proposal.identity for proposal in proposals)
        for epoch, deaths in ((0, 1), (0, 2), (3, 1)):
            ledger.write_retries(dying, ledger.retries(dying).after_death(epoch))
            assert ledger.retries(dying).deaths == deaths
        for proposal in proposals[:2]:
            ledger.complete(proposal.identity, GOOD)
        ledger.fail(failing, Failure("deterministic", "diverged"))
    assert next(commits) > 20
    entries = Ledger(make_spec(), directory).records()
    assert [entry.parameters for entry in entries] == [p.parameters for p in proposals]
    assert [entry.state for entry in entries] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert [entry.objectives for entry in entries] == [GOOD, GOOD, None]


def test_a_server_that_stays_away_ends_the_patience_and_the_trial_stays_running(
    make_spec: MakeSpec,
    directory: StudyDirectory,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = Ledger(make_spec(), directory)
    trial = ledger.ask()
    monkeypatch.setattr(reconnecting_storage, "PATIENCE_SECONDS", 1.0)
    postgres_server.stop()
    try:
        began = time.monotonic()
        with pytest.raises(StorageError, match=r"refused.*what was recorded so far is kept"):
            ledger.complete(trial.identity, GOOD)
        assert 1 <= time.monotonic() - began < 10
    finally:
        postgres_server.start()
    [entry] = Ledger(make_spec(), directory).records()
    assert entry.state == "RUNNING"


def test_a_full_disk_is_waited_for_and_named_where_it_stays_full(
    make_spec: MakeSpec,
    directory: StudyDirectory,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = PostgresStorage(postgres_url)
    ledger = Ledger(make_spec(), directory)
    later = threading.Timer(0.5, no_room(storage))
    later.start()
    trial = ledger.ask()
    later.join()
    monkeypatch.setattr(reconnecting_storage, "PATIENCE_SECONDS", 0.2)
    words = "No space left on device; free some space on the disk of the server.* is kept"
    free = no_room(storage)
    with pytest.raises(StorageError, match=words):
        ledger.complete(trial.identity, GOOD)
    free()
    ledger.complete(trial.identity, GOOD)
    [entry] = Ledger(make_spec(), directory).records()
    assert (entry.state, entry.objectives) == ("COMPLETE", GOOD)


def no_room(storage: PostgresStorage) -> Callable[[], None]:
    """The server refuses trials as on a full disk, until the function that it gives is called."""

    def free() -> None:
        with storage.connection() as connection:
            connection.execute("DROP TRIGGER no_room ON trials")

    with storage.connection() as connection:
        connection.execute(
            """CREATE OR REPLACE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE disk_full USING MESSAGE = 'No space left on device'; END $$;
            CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON trials EXECUTE FUNCTION no_room()"""
        )
    return free


def test_a_write_is_refused_once_the_lease_is_lost(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    held = True

    def confirm() -> None:
        if not held:
            raise UserError("taken by another")

    ledger = Ledger(make_spec(), directory, confirm)
    trial = ledger.ask()
    held = False
    for write in (ledger.ask, ledger.begin_launch, lambda: ledger.complete(trial.identity, GOOD)):
        with pytest.raises(UserError, match="taken by another"):
            write()
    assert [entry.state for entry in ledger.records()] == ["RUNNING"]


def test_a_database_that_cannot_be_used_is_told_in_a_line_without_the_password(
    make_spec: MakeSpec,
    directory: StudyDirectory,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    directory.storage.unlink()
    server, secret = postgres_server, postgres_server.password
    nowhere = server.url("studies", password=secret).replace(str(server.port), "1")
    for secret_url, told in {
        server.url("absent", password=secret): r"absent.* does not exist; create it \(createdb\)",
        server.url("postgres", password="wrong-one"): "authentication failed.*give the password by",
        server.url("postgres", user="nobody", password=secret): "authentication failed",
        nowhere: "refused.*check that the server runs",
    }.items():
        monkeypatch.setenv(VARIABLE, secret_url)
        directory.storage.unlink(missing_ok=True)
        record_storage(directory, PostgresStorage(address_of(secret_url, VARIABLE)))
        with pytest.raises(StorageError, match=told) as caught:
            Ledger(make_spec(), directory)
        assert secret not in str(caught.value)
        assert "wrong-one" not in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
        assert secret not in directory.storage.read_text()


def test_a_user_who_may_not_create_tables_is_told_what_to_grant(
    make_spec: MakeSpec,
    directory: StudyDirectory,
    postgres_server: PostgresServer,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = PostgresStorage(postgres_url)
    with storage.connection() as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'visiting'")
    try:
        database = postgres_url.rpartition("/")[2]
        guest = postgres_server.url(database, user="guest", password="visiting")
        monkeypatch.setenv(VARIABLE, guest)
        with pytest.raises(StorageError, match="permission denied for schema public; grant"):
            Ledger(make_spec(), directory)
    finally:
        monkeypatch.delenv(VARIABLE)
        with storage.connection() as connection:
            connection.execute("DROP ROLE guest")


def test_two_directories_never_share_a_study_of_one_database(
    make_spec: MakeSpec, directory: StudyDirectory, postgres_url: str, tmp_path: Path
) -> None:
    Ledger(make_spec(), directory).ask()
    other = StudyDirectory.of(tmp_path / "elsewhere", "digits")
    other.create()
    record_storage(other, PostgresStorage(postgres_url))
    with pytest.raises(UserError, match=r"study digits whose files are in .+:.*digits; continue"):
        Ledger(make_spec(), other)


def test_a_study_stays_in_its_storage(
    make_spec: MakeSpec, directory: StudyDirectory, postgres_url: str, tmp_path: Path
) -> None:
    record_storage(directory, PostgresStorage(postgres_url))
    with pytest.raises(UserError, match=r"--storage: the study digits has its trials in post"):
        record_storage(directory, PostgresStorage(postgres_url + "_2"))
    local = StudyDirectory.of(tmp_path / "local", "digits")
    local.create()
    Ledger(make_spec(), local)
    with pytest.raises(UserError, match=r"has its trials in .*optuna\.db, not in postgresql"):
        record_storage(local, PostgresStorage(postgres_url))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mysql://me:secret@host/db", "got mysql; without it a study is kept in SQLite"),
        ("sqlite:////shared/optuna.db", "got sqlite; without it"),
        ("studies", "got no scheme"),
        ("postgresql://me:secret@host", "special characters of a password percent-encoded"),
        ("postgresql://me:sec:ret@host:x/db", "special characters of a password"),
    ],
)
def test_an_address_of_another_kind_is_refused_without_being_shown(text: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        address_of(text, "--storage")
    assert "sec" not in str(caught.value)


def test_an_address_is_kept_without_any_password() -> None:
    for secret in ("postgresql://me:s%40cret@host:5433/db?sslmode=require", "postgres://me@h/d"):
        assert "cret" not in address_of(secret, "--storage")
    assert (
        address_of("postgresql://me:s%40cret@host:5433/db?sslmode=require&password=s3", "-")
        == "postgresql://me@host:5433/db?sslmode=require"
    )
    refuse_password("postgresql://me@host/db", "--storage")
    for secret in ("postgresql://me:pw@host/db", "postgresql://me@host/db?password=pw"):
        with pytest.raises(UserError, match="--storage: names a password") as caught:
            refuse_password(secret, "--storage")
        assert "pw" not in str(caught.value)


def test_a_damaged_address_is_refused_by_name(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    directory.storage.write_text("{")
    with pytest.raises(CorruptFile, match=r"storage\.json: damaged"):
        Ledger(make_spec(), directory)


def test_without_psycopg_the_extra_is_named(
    make_spec: MakeSpec, directory: StudyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "psycopg" else found(name)
    )
    with pytest.raises(UserError, match=r"pip install 'balpoe\[postgres\]'"):
        Ledger(make_spec(), directory)
