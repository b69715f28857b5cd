"""A PostgreSQL server of the tests' own, on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psycopg


def postgres_binaries() -> Path | None:
    """Where the server's programs are; None where it is not installed."""
    found = shutil.which("initdb") or max(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None
    )
    return None if found is None else Path(found).resolve().parent


class PostgresServer:
    """A PostgreSQL server on loopback in the foreground, in its own directory under /tmp.

    Its only user is `balpoe`, whose password is `password`: no other string contains it. Its
    write-ahead log is in segments of so many MiB.
    """

    password = "kept-nowhere-7c1f"

    def __init__(self, directory: Path, binaries: Path, *, segment_mib: int = 16) -> None:
        self._directory, self._binaries = directory, binaries
        # PostgreSQL refuses to run as root
        self._user = "nobody" if os.getuid() == 0 else None
        if self._user is not None:
            shutil.chown(directory, self._user)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._databases = 0
        self._create(segment_mib)
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
        if not self._answers():
            raise AssertionError((self._directory / "log").read_text())

    def revive(self) -> None:
        """Return once it answers; where it has ended, or ends, it is started again."""
        if not self._answers():
            self.start()

    def _answers(self) -> bool:
        """Whether it does at last; where it ends it does not."""
        deadline = time.monotonic() + 60
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                self.connected().close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return True
        return False

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
        with self.connected() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database with all its connections."""
        with self.connected() as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def dump(self, url: str) -> str:
        """All that is in the database at `url`."""
        command: list[Path | str] = [self._binaries / "pg_dump", "--inserts", url]
        environment = {**os.environ, "PGPASSWORD": self.password}
        dumped = subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True
        )
        return dumped.stdout

    def connected(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection that is the caller's to close; every statement is a transaction."""
        return psycopg.connect(
            self.url("postgres", password=self.password), autocommit=True, connect_timeout=5
        )

    def _create(self, segment_mib: int) -> None:
        secret = self._directory / "secret"
        secret.write_text(self.password)
        if self._user is not None:
            shutil.chown(secret, self._user)
        command: list[Path | str] = [self._binaries / "initdb", "-D", self._directory / "data"]
        command += ["--username=balpoe", f"--pwfile={secret}", "--auth=scram-sha-256"]
        command += ["--no-sync", "--locale=C", "--encoding=UTF8", f"--wal-segsize={segment_mib}"]
        subprocess.run(
            command, user=self._user, check=True, capture_output=True, cwd=self._directory
        )
