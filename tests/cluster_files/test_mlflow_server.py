"""The script of the tracking server, run with PostgreSQL, an S3 server and MLflow on loopback."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from pyarrow.fs import FileSelector, S3FileSystem

SERVE = Path(__file__).parents[2] / "cluster" / "mlflow" / "serve.sh"
POSTGRESQL = Path("/usr/lib/postgresql/15/bin")
BIN = Path(sys.executable).parent
UV = shutil.which("uv")
PASSWORD, BUCKET = "correct horse", "models"
NAME = "mlflow.example.org"
S3_ACCESS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not POSTGRESQL.is_dir(), reason="needs Debian's postgresql-15"),
    pytest.mark.skipif(UV is None, reason="needs uv, for what MLflow's authentication imports"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 150
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"{url} does not answer")


@contextmanager
def running(command: list[str], url: str, log: Path, **env: str) -> Iterator[int]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=os.environ | env, stdout=output, stderr=output, start_new_session=True
        )
        try:
            wait_for(url, process)
            yield process.pid
        except BaseException:
            print(log.read_text())
            raise
        finally:
            os.killpg(process.pid, 15)
            process.wait(20)


@contextmanager
def postgresql(directory: Path) -> Iterator[int]:
    """A server with one user, `mlflow`, whose password is in PGPASSFILE. It cannot run as root."""
    data, port = directory / "pg", free_port()
    data.mkdir()
    password = directory / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    user = "postgres" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(data, pwd.getpwnam(user).pw_uid)
        directory.chmod(0o755)
    initialise = ["initdb", "-D", data, "-U", "mlflow", "-A", "scram-sha-256", "--no-sync"]
    server = ["postgres", "-D", data, "-p", port, "-k", data, "-h", "127.0.0.1", "-F"]
    for command in (initialise, server):
        command[0] = POSTGRESQL / str(command[0])
    subprocess.run(
        [*map(str, initialise), f"--pwfile={password}"], user=user, check=True, capture_output=True
    )
    process = subprocess.Popen(
        [*map(str, server)], user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with _first_connection(port) as connection:
            connection.execute("CREATE DATABASE mlflow")
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _first_connection(port: int) -> psycopg.Connection:
    deadline = time.monotonic() + 60
    while True:
        try:
            return psycopg.connect(
                host="127.0.0.1",
                port=port,
                user="mlflow",
                password=PASSWORD,
                dbname="postgres",
                autocommit=True,
            )
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@dataclass(frozen=True)
class Server:
    """The running server and its files."""

    url: str
    s3: str
    home: Path
    postgresql_port: int
    session: int

    def answer(self, path: str, *, host: str = NAME, user: str | None = None) -> tuple[int, str]:
        """Status and body of a request with a Host header, with or without the password."""
        request = urllib.request.Request(self.url + path, headers={"Host": host})
        if user is not None:
            credentials = b64encode(f"{user}:{PASSWORD}".encode()).decode()
            request.add_header("Authorization", f"Basic {credentials}")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture(scope="module")
def authentication_packages() -> Iterator[str]:
    """`mlflow[auth]` beyond what is installed here: two small packages of pure Python."""
    with tempfile.TemporaryDirectory() as target:
        command = [str(UV), "pip", "install", "--target", target, "--python", sys.executable]
        installed = subprocess.run(
            [*command, "--no-deps", "flask-wtf<2", "wtforms"],
            capture_output=True,
            text=True,
            check=False,
        )
        if installed.returncode != 0:
            pytest.skip(f"no package registry: {installed.stderr}")
        yield target


@pytest.fixture(scope="module")
def server(authentication_packages: str) -> Iterator[Server]:
    """PostgreSQL, S3 and the script."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlflow", dir="/tmp")))
        database = stack.enter_context(postgresql(home))
        s3 = f"http://127.0.0.1:{(s3_port := free_port())}"
        stack.enter_context(
            running([str(BIN / "moto_server"), "--port", str(s3_port)], s3, home / "s3.log")
        )
        object_store(s3).create_dir(BUCKET)
        passwords = home / "pgpass"
        passwords.write_text(f"127.0.0.1:{database}:mlflow:mlflow:{PASSWORD}\n")
        secrets = home / "secrets"
        secrets.mkdir()
        (secrets / "admin_password").write_text(PASSWORD)
        for path in (passwords, secrets / "admin_password"):
            path.chmod(0o600)
        url = f"http://127.0.0.1:{(port := free_port())}"
        settings = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": authentication_packages,
            "PGPASSFILE": str(passwords),
            "MLFLOW_DATABASE": f"postgresql+psycopg://mlflow@127.0.0.1:{database}/mlflow",
            "MLFLOW_ARTEFACTS": f"s3://{BUCKET}/mlflow",
            "MLFLOW_S3_ENDPOINT_URL": s3,
            "MLFLOW_NAMES": f"{NAME},127.0.0.1:{port}",
            "MLFLOW_ADDRESS": "127.0.0.1",
            "MLFLOW_LISTENS_AT": str(port),
            "MLFLOW_PROCESSES": "2",
            "MLFLOW_SECRETS": str(secrets),
        }
        log = home / "mlflow.log"
        script = running([str(SERVE)], f"{url}/health", log, **settings, **S3_ACCESS)
        yield Server(url, s3, home, database, stack.enter_context(script))


def object_store(url: str) -> S3FileSystem:
    return S3FileSystem(
        access_key="key",
        secret_key="secret",
        region="us-east-1",
        endpoint_override=url,
        allow_bucket_creation=True,
    )


SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"


def test_a_foreign_host_header_is_refused(server: Server) -> None:
    status, body = server.answer(SEARCH, host="evil.example.net", user="admin")
    assert status == 403
    assert "Invalid Host header" in body


def test_who_gives_no_password_is_refused(server: Server) -> None:
    assert server.answer(SEARCH)[0] == 401
    assert server.answer(SEARCH, user="nobody")[0] == 401


def test_the_administrator_is_let_in(server: Server) -> None:
    status, body = server.answer(SEARCH, user="admin")
    assert status == 200
    assert json.loads(body)["experiments"][0]["name"] == "Default"


CLIENT = """
import mlflow
mlflow.set_experiment("birds")
with mlflow.start_run():
    mlflow.log_metric("val/accuracy", 0.5)
    mlflow.log_text("a card", "model/README.md")
"""


def test_runs_go_to_postgresql_and_artefacts_through_the_server_to_s3(server: Server) -> None:
    subprocess.run(
        [sys.executable, "-c", CLIENT],
        env=os.environ
        | {
            "MLFLOW_TRACKING_URI": server.url,
            "MLFLOW_TRACKING_USERNAME": "admin",
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        },
        check=True,
        cwd=server.home,
    )
    found = object_store(server.s3).get_file_info(FileSelector(BUCKET, recursive=True))
    (card,) = (entry for entry in found if entry.is_file)
    assert card.path.endswith("model/README.md")
    with psycopg.connect(
        host="127.0.0.1",
        port=server.postgresql_port,
        user="mlflow",
        password=PASSWORD,
        dbname="mlflow",
    ) as connection:
        assert connection.execute("SELECT value FROM metrics").fetchall() == [(0.5,)]


def test_no_jobs_are_executed_and_no_secret_is_seen_by_others(server: Server) -> None:
    log = (server.home / "mlflow.log").read_text()
    assert PASSWORD not in log
    processes = subprocess.run(
        ["ps", "-ww", "-o", "args=", "--sid", str(server.session)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert PASSWORD not in processes
    assert "uvicorn" in processes
    assert "mlflow.server.jobs" not in processes
    for secret in (server.home / "secrets").iterdir():
        assert secret.stat().st_mode & 0o077 == 0
