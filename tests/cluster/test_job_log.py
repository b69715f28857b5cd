"""A submitted study is followed through a dashboard that is unavailable at times."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from balpoe.cluster import jobs
from balpoe.cluster.jobs import Jobs
from balpoe.errors import UserError

RAYS_OWN = (
    "2026-11-21 14:45:40,505\tINFO job_manager.py:581 -- Runtime env is setting up.\n"
    "Running entrypoint for job s-0: exec balpoe run s.yaml --address auto\n"
)


class Dashboard:
    """Answers for one job like Ray's dashboard; a poll gets the next of `logs`; None: no answer."""

    def __init__(self, logs: list[str | None], end: dict[str, Any]) -> None:
        self._logs = logs
        self._end = end
        self.polls = 0

    def answer(self, path: str) -> dict[str, Any] | None:
        if path == "/api/version":
            return {"version": "4", "ray_version": "2.60.0", "ray_commit": "", "session_name": ""}
        log = self._logs[min(self.polls, len(self._logs) - 1)]
        if log is None:
            self.polls += 1
            return None
        if path.endswith("/logs"):
            self.polls += 1
            return {"logs": log}
        over = self.polls >= len(self._logs) - 1
        state = self._end if over else {"status": "RUNNING"}
        return {"type": "SUBMISSION", "submission_id": "s-0", "entrypoint": "balpoe", **state}


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.01)
    servers = []

    def follow(dashboard: Dashboard) -> tuple[int, str]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = dashboard.answer(self.path)
                if answer is None:
                    self.connection.close()
                    return
                content = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                """Print nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told: list[str] = []
        client = Jobs(f"http://127.0.0.1:{server.server_port}")
        return client.follow("s-0", told.append), "".join(told)

    yield follow
    for server in servers:
        server.shutdown()
        server.server_close()


def test_what_a_lost_connection_missed_is_shown_once_when_it_is_back(follow: Any) -> None:
    logs = [RAYS_OWN, f"{RAYS_OWN}one\ntw", None, None, f"{RAYS_OWN}one\ntwo\nthree\n"]
    end = {"status": "SUCCEEDED", "driver_exit_code": 0}
    assert follow(Dashboard(logs, end)) == (0, "one\ntwo\nthree\n")


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ({"status": "FAILED", "driver_exit_code": 2}, 2),
        ({"status": "FAILED", "driver_exit_code": -9}, 137),
        ({"status": "FAILED", "driver_exit_code": 130}, 130),
        ({"status": "STOPPED"}, 143),
        ({"status": "FAILED"}, 70),
    ],
)
def test_the_exit_status_is_that_of_the_study(
    follow: Any, end: dict[str, Any], status: int
) -> None:
    assert follow(Dashboard(["last words"], end)) == (status, "last words")


def test_a_cluster_that_stays_away_is_given_up(
    follow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PATIENCE_SECONDS", 0.2)
    dashboard = Dashboard(["one\n", *[None] * 1000], {"status": "FAILED"})
    with pytest.raises(UserError, match=r"--address http://127\.0\.0\.1:\d+: "):
        follow(dashboard)
