"""`balpoe ui`, started and ended as a command."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest

from balpoe.config import StudySpec
from balpoe.errors import UserError
from balpoe.launch.sync import sync
from balpoe.launch.ui import trial_pages, ui
from balpoe.study.records.record_store import RecordStore
from balpoe.study.selection.front import ordered_front
from balpoe.study.trials.directory import StudyDirectory
from balpoe.tracking.server import Server
from balpoe.tracking.shared_view import KEY, TAG, view_state

STUDY = """
name: whole
data: {name: digits_lt}
model: {backbone: resnet8}
search: {experts.count: {type: int, low: 1, high: 2}}
objectives: {val/accuracy: maximize}
budget: {trials: 3}
"""
BALPOE = str(Path(sys.executable).parent / "balpoe")


class TinyStudy(Protocol):
    runs: Path
    spec: StudySpec
    directory: StudyDirectory


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def process(tiny_study: TinyStudy, port: int) -> Iterator[subprocess.Popen[str]]:
    sync("tiny", runs=tiny_study.runs)
    command = [BALPOE, "ui", "--port", str(port)]
    with subprocess.Popen(
        command, cwd=tiny_study.runs.parent, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                # found before its parent is killed, since the server survives its parent
                _kill(*_descendants(process.pid), process.pid)


def test_it_shows_the_studies_until_ctrl_c_and_leaves_no_process(
    process: subprocess.Popen[str], port: int, tiny_study: TinyStudy
) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    url = f"http://127.0.0.1:{port}"
    assert line == f"MLflow  {url}  (Ctrl-C ends it)\n"
    assert process.stdout.readline() == "trials of tiny, the best first:\n"
    page = urllib.parse.urlsplit(process.stdout.readline().strip().replace("#/", ""))
    view = dict(urllib.parse.parse_qsl(page.query))
    assert view == {"workflowType": "machine_learning", "viewStateShareKey": KEY}
    identifier = page.path.split("/")[2]
    with urllib.request.urlopen(
        f"{url}/api/2.0/mlflow/experiments/get?experiment_id={identifier}"
    ) as answer:
        tags = {tag["key"]: tag["value"] for tag in json.load(answer)["experiment"]["tags"]}
    state = view_state(tags[TAG])
    search = {
        "experiment_ids": [identifier],
        "filter": state["searchFilter"],
        "order_by": [f"{state['orderByKey']} {'ASC' if state['orderByAsc'] else 'DESC'}"],
    }
    request = urllib.request.Request(
        f"{url}/api/2.0/mlflow/runs/search",
        data=json.dumps(search).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        runs = json.load(answer)["runs"]
    best = ordered_front(
        RecordStore(tiny_study.spec, tiny_study.directory).records(),
        {"val/accuracy": "maximize"},
    )
    assert len(runs) == 4
    assert runs[0]["info"]["run_name"] in {f"trial {t.identity.number:04d}" for t in best}
    workers = _descendants(process.pid)
    assert len(workers) <= 3  # the server, its worker, a tracker of its resources
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    left = [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    _kill(*left)
    assert not left
    assert sorted(path.name for path in tiny_study.runs.parent.iterdir()) == ["runs", "tiny.yaml"]


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # the process has ended
        return []
    return [found for child in map(int, children) for found in (child, *_descendants(child))]


def _kill(*pids: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_port_that_is_taken_is_refused(tiny_study: TinyStudy) -> None:
    sync("tiny", runs=tiny_study.runs)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(UserError, match=rf"--port {port}: cannot be used"),
            ui(port=port, runs=tiny_study.runs),
        ):
            pass


def test_where_there_is_no_store_it_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no MLflow store"), ui(runs=tmp_path):
        pass
    assert os.listdir(tmp_path) == []


def test_a_study_that_cannot_be_read_is_left_out_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, text in (("broken", "name: [\n"), ("whole", STUDY)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.yaml").write_text(text)
    monkeypatch.setattr("balpoe.launch.ui.trials_page", lambda url, name, *_: f"{url}/{name}")
    with subprocess.Popen(["true"]) as process:
        pages = trial_pages(Server("http://here", process), runs=tmp_path)
    assert pages == {"whole": "http://here/whole"}
    [warning] = caplog.messages
    assert warning.startswith(f"broken: its trials are not listed: {tmp_path}/broken/study.yaml")


def test_a_server_that_does_not_answer_lists_no_trials(tmp_path: Path, port: int) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "study.yaml").write_text(STUDY)
    with subprocess.Popen(["true"]) as process:
        assert trial_pages(Server(f"http://127.0.0.1:{port}", process), runs=tmp_path) == {}
