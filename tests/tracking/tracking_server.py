"""An MLflow server on this machine that can be killed, frozen and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 300.0


class TrackingServer:
    """A server with its SQLite file and artefacts in `folder`, always on the same port."""

    def __init__(self, folder: Path, *, workers: int) -> None:
        folder.mkdir()
        self._workers = workers
        self._folder = folder
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server, and return when it answers."""
        with (self._folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", "server"),
                    *("--host", "127.0.0.1", "--port", str(self.port)),
                    *("--workers", str(self._workers)),
                    *("--backend-store-uri", f"sqlite:///{self._folder / 'mlflow.db'}"),
                    *("--artifacts-destination", str(self._folder / "artefacts")),
                ],
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,  # its own process group, which is ended as one
            )
        _wait_until_healthy(f"{self.uri}/health", self._process)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all processes of the server."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the processes of the server, if it runs."""
        if self._process is not None:
            self.send(number)
            self._process.wait(timeout=30)
            self._process = None


@contextmanager
def tracking_server(folder: Path, *, workers: int = 4) -> Iterator[TrackingServer]:
    """A running server within the block."""
    server = TrackingServer(folder, workers=workers)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_healthy(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"the MLflow server did not start; exit status {process.poll()}")
