"""MLflow's server for the store of this machine, to look at; it listens to this machine alone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from balpoe.errors import UserError
from balpoe.tracking.tracking_store import TrackingStore

HOST = "127.0.0.1"
_START_SECONDS = 90.0
_END_SECONDS = 5.0
_POLL_SECONDS = 0.2
_ENVIRONMENT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # ten processes more for jobs nobody submits
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers at `url`."""

    url: str
    process: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Until the server ends."""
        self.process.wait()


@contextmanager
def serving(store: TrackingStore, port: int) -> Iterator[Server]:
    """An MLflow server with one worker for the length of the block.

    Raises:
        UserError: the port is taken, or the server does not start.
    """
    _refuse_taken(port)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            _command(store, port),
            env=os.environ | _ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for us; its workers end with its group
        )
        try:
            server = Server(f"http://{HOST}:{port}", process)
            _wait_for_answer(server, output)
            yield server
        finally:
            _end(process)


def _command(store: TrackingStore, port: int) -> list[str]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", store.tracking_uri]
    if store.artifact_root is not None:
        command += ["--artifacts-destination", str(store.artifact_root)]
    return command


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise UserError(f"--port {port}: cannot be used ({error}); choose another") from error


def _wait_for_answer(server: Server, output: IO[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{server.url}/health", timeout=_END_SECONDS):
                return
        except OSError:
            time.sleep(_POLL_SECONDS)
    output.seek(0)
    last = output.read().decode(errors="replace").strip().splitlines()[-1:]
    raise UserError(f"the MLflow server does not start: {''.join(last) or 'it says nothing'}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(_END_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
