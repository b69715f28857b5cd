"""A local MLflow server, which only this machine can reach, and its page of a study's trials."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from typing import IO

from balpoe.errors import UserError
from balpoe.tracking.shared_view import KEY, TAG
from balpoe.tracking.tracking_store import TrackingStore

HOST = "127.0.0.1"
_START_SECONDS = 90.0
_END_SECONDS = 5.0
_POLL_SECONDS = 0.2
_ANSWER_SECONDS = 10.0
_ENVIRONMENT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else ten more processes, for unused jobs
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server and its `url`."""

    url: str
    process: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Wait until the server ends."""
        self.process.wait()


@contextmanager
def serving(store: TrackingStore, port: int) -> Iterator[Server]:
    """Run an MLflow server with one worker within the block.

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
            start_new_session=True,  # Ctrl-C must not reach it; its workers end with its group
        )
        try:
            server = Server(f"http://{HOST}:{port}", process)
            _wait_for_answer(server, output)
            yield server
        finally:
            _end(process)


def trials_page(url: str, study: str) -> str | None:
    """The page of the server at `url` that lists the trials of `study`, the best first.

    None if the server has no such study or does not answer.
    """
    name = urllib.parse.urlencode({"experiment_name": study})
    try:
        with urllib.request.urlopen(
            f"{url}/api/2.0/mlflow/experiments/get-by-name?{name}", timeout=_ANSWER_SECONDS
        ) as answer:
            experiment = json.load(answer)["experiment"]
    except (OSError, HTTPException):  # HTTPError, URLError and timeouts are OSErrors
        return None
    runs = f"{url}/#/experiments/{experiment['experiment_id']}/runs"
    # By default MLflow shows runs as evaluations of language models. A filter or an order in the
    # address makes it ignore the shared view.
    view = {"workflowType": "machine_learning"}
    if any(tag["key"] == TAG for tag in experiment.get("tags", ())):
        view["viewStateShareKey"] = KEY
    else:  # a study that an earlier version mirrored
        view["searchFilter"] = "tags.role = 'trial'"
    return f"{runs}?{urllib.parse.urlencode(view, quote_via=urllib.parse.quote)}"


def _command(store: TrackingStore, port: int) -> list[str]:
    command = [sys.executable, "-m", "balpoe.tracking.training_server"]
    command += ["--host", HOST, "--port", str(port), "--store", store.tracking_uri]
    if store.artifact_root is not None:
        command += ["--artifacts", str(store.artifact_root)]
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
    raise UserError(f"the MLflow server does not start: {''.join(last) or 'it prints nothing'}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(_END_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
