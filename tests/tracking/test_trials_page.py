"""The page of a server that does not answer."""

from __future__ import annotations

import socket

import pytest

from balpoe.tracking import server


def _page(port: int) -> str | None:
    return server.trials_page(f"http://127.0.0.1:{port}", "tiny")


def test_a_server_that_never_answers_has_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert _page(silent.getsockname()[1]) is None


def test_a_server_that_is_gone_has_no_page() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        assert _page(probe.getsockname()[1]) is None
