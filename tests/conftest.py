"""Settings for all tests."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

if TYPE_CHECKING:
    from tests.s3_server import S3Server

# One thread: on two cores that other tests share, the threads of an OpenMP team wait for each
# other's time slices, and small tensors train ten times slower. Children inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Studies of the tests are mirrored beside their records, wherever the user keeps real ones.
_TRACKING_URI = "MLFLOW_TRACKING_URI"
os.environ.pop(_TRACKING_URI, None)

_MOST_PROCESSES = 4


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs on all cores; chosen files, and faults by the clock, one by one."""
    whole = config.args == config.getini("testpaths")
    by_the_clock = "not slow" not in config.option.markexpr
    cores = len(os.sched_getaffinity(0))
    return min(cores, _MOST_PROCESSES) if whole and not by_the_clock else 0


@pytest.fixture(autouse=True)
def _tracking_uri_is_left_unset() -> Iterator[None]:
    """A store that one test chose would receive the studies of those after it."""
    yield
    assert _TRACKING_URI not in os.environ, "use monkeypatch.setenv"


@pytest.fixture
def write_grey_images(tmp_path: Path) -> Callable[[str, Sequence[int]], Path]:
    """Write a Parquet file of noisy grey images of 8x8, so many around the level of each class."""

    def write(name: str, counts: Sequence[int]) -> Path:
        labels = np.repeat(np.arange(len(counts)), counts)
        noise = np.random.default_rng(len(labels)).normal(0, 40, (len(labels), 8, 8))
        encoded = []
        for label, image in zip(labels, noise, strict=True):
            buffer = io.BytesIO()
            pixels = np.clip(image + 80 * label + 48, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(buffer, "PNG")
            encoded.append({"bytes": buffer.getvalue(), "path": None})
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"image": encoded, "label": labels.tolist()}), path)
        return path

    return write


class PostgresServer:
    """A PostgreSQL server on loopback in the foreground, in its own directory under /tmp.

    Its only user is `balpoe`, whose password is `password`: no other string contains it.
    """

    password = "kept-nowhere-7c1f"

    def __init__(self, directory: Path, binaries: Path) -> None:
        self._directory, self._binaries = directory, binaries
        # PostgreSQL refuses to run as root
        self._user = "nobody" if os.getuid() == 0 else None
        if self._user is not None:
            shutil.chown(directory, self._user)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._databases = 0
        self._create()
        self.start()

    def start(self) -> None:
        """Start it, and return once it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command: list[Path | str] = [
            self._binaries / "postgres",
            "-D",
            self._directory / "data",
            *options,
        ]
        with (self._directory / "log").open("a") as log:
            self._process = subprocess.Popen(
                command, user=self._user, stdout=log, stderr=log, cwd=self._directory
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self._connect().close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self._directory / "log").read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Stop it at once, as a crash would: connections break, and it recovers at its start."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(timeout=60)

    def url(self, database: str, *, user: str = "balpoe", password: str | None = None) -> str:
        """The URL of a database; without a password unless it is given."""
        who = user if password is None else f"{user}:{password}"
        return f"postgresql://{who}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """The name of a new empty database."""
        self._databases += 1
        name = f"study_{self._databases}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database with all its connections."""
        with self._connect() as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def dump(self, url: str) -> str:
        """All that is in the database at `url`."""
        command = [self._binaries / "pg_dump", "--inserts", url]
        environment = {**os.environ, "PGPASSWORD": self.password}
        return subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True
        ).stdout

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            self.url("postgres", password=self.password), autocommit=True, connect_timeout=5
        )

    def _create(self) -> None:
        secret = self._directory / "secret"
        secret.write_text(self.password)
        if self._user is not None:
            shutil.chown(secret, self._user)
        command: list[Path | str] = [self._binaries / "initdb", "-D", self._directory / "data"]
        command += ["--username=balpoe", f"--pwfile={secret}", "--auth=scram-sha-256"]
        command += ["--no-sync", "--locale=C", "--encoding=UTF8"]
        subprocess.run(
            command, user=self._user, check=True, capture_output=True, cwd=self._directory
        )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real server for the tests of this process."""
    found = shutil.which("initdb") or max(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None
    )
    if found is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    # pytest's own directories are closed to other users
    with tempfile.TemporaryDirectory(prefix="balpoe-pg-") as directory:
        server = PostgresServer(Path(directory), Path(found).resolve().parent)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database of a running server, without its password: that is in PGPASSWORD."""
    monkeypatch.setenv("PGPASSWORD", postgres_server.password)
    database = postgres_server.create_database()
    yield postgres_server.url(database)
    postgres_server.drop_database(database)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real server for the tests of this process."""
    from tests.s3_server import S3Server  # which leads to a web server's libraries

    server = S3Server()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def bucket(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[S3Server]:
    """The server with an empty bucket; the environment leads to it, and to working copies."""
    from balpoe.study.remote_directory import _store

    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BALPOE_CACHE", str(tmp_path / "cache"))
    _store.cache_clear()
    s3_server.create_bucket()
    yield s3_server
    s3_server.delete_bucket()
    _store.cache_clear()
