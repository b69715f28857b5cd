"""Studies submitted to a cluster's head: followed, queried, stopped, refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from balpoe.launch.runs import find_study
from balpoe.study.records.record_store import RecordStore
from tests.cluster.ray_nodes import RayCluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BALPOE = str(Path(sys.executable).parent / "balpoe")
SUBMITTED_SECONDS = 300.0


@pytest.fixture(scope="module")
def head() -> Iterator[RayCluster]:
    directory = Path(tempfile.mkdtemp(prefix="bc", dir="/tmp"))
    cluster = RayCluster(directory, dashboard=True)
    try:
        cluster.start_node()
        cluster.await_nodes()
        yield cluster
    finally:
        cluster.end()
        shutil.rmtree(directory, ignore_errors=True)


def balpoe(
    head: RayCluster, directory: Path, *arguments: str, address: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BALPOE, *arguments, "--address", address or head.dashboard],
        cwd=directory,
        env=head.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def write_study(directory: Path, name: str, *, trials: int, epochs: int, data: str = "") -> None:
    (directory / f"{name}.yaml").write_text(f"""
name: {name}
data: {{{data or "name: digits_lt"}}}
model: {{backbone: resnet8}}
training: {{epochs: {epochs}, batch_size: 64}}
search:
  mixup.alpha: {{type: float, low: 0.0, high: 1.0}}
objectives: {{val/accuracy: maximize}}
budget: {{trials: {trials}}}
resources: {{concurrent_trials: 1}}
""")


def await_file(file: Path) -> None:
    deadline = time.monotonic() + SUBMITTED_SECONDS
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_a_submitted_study_is_followed_to_its_end_and_its_status_comes_back(
    head: RayCluster, tmp_path: Path
) -> None:
    write_study(tmp_path, "short", trials=2, epochs=1)
    runs = tmp_path / "runs"
    ended = balpoe(head, tmp_path, "submit", "short.yaml", "--runs", str(runs))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"submitted short-0 to {head.dashboard}" in ended.stdout
    assert "balpoe export short" in ended.stdout
    assert f"{runs}/short/exports" in ended.stdout.replace("\n", "")
    assert ended.stderr == ""
    told = balpoe(head, tmp_path, "status", "short", "--json")
    assert told.returncode == 0, told.stdout
    assert json.loads(told.stdout)["trials"]["COMPLETE"] == 2
    again = balpoe(head, tmp_path, "submit", "short.yaml", "--runs", str(runs))
    assert again.returncode == 0
    assert "submitted short-1" in again.stdout
    assert "short is finished: there is nothing left to run" in again.stdout


def test_a_submitted_study_is_stopped_with_all_that_it_has_and_refuses_a_second_launch(
    head: RayCluster, tmp_path: Path
) -> None:
    write_study(tmp_path, "long", trials=2, epochs=2000)
    runs = tmp_path / "runs"
    first = balpoe(head, tmp_path, "submit", "long.yaml", "--runs", str(runs), "--detach")
    assert first.returncode == 0, first.stdout + first.stderr
    assert f"stop:    balpoe stop long --address {head.dashboard}" in first.stdout
    second = balpoe(head, tmp_path, "submit", "long.yaml", "--runs", str(runs))
    assert second.returncode == 2
    assert "error: long: is being run by the submission long-0 (" in second.stderr
    await_file(runs / "long/trials/0/repeat_0/metrics.parquet")
    stopped = balpoe(head, tmp_path, "stop", "long")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert "long has stopped" in stopped.stdout
    assert list((runs / "long/trials/0/repeat_0/checkpoints").iterdir())
    followed = balpoe(head, tmp_path, "status", "long", "--follow")
    assert followed.returncode == 130
    again = f"balpoe submit long.yaml --address {head.dashboard} --runs {runs}"
    assert f"stopped; continue with: {again}" in followed.stdout.replace("\n", "")


def test_a_submitted_study_is_steered_from_another_host(head: RayCluster, tmp_path: Path) -> None:
    write_study(tmp_path, "steered", trials=2, epochs=2000)
    runs = tmp_path / "runs"
    begun = balpoe(head, tmp_path, "submit", "steered.yaml", "--runs", str(runs), "--detach")
    assert begun.returncode == 0, begun.stdout + begun.stderr
    await_file(runs / "steered/trials/0/repeat_0/metrics.parquet")
    tried = balpoe(head, tmp_path, "try", "steered", "mixup.alpha=0.25")
    assert tried.returncode == 0, tried.stdout + tried.stderr
    wrong = balpoe(head, tmp_path, "stop", "steered", "--trial", "7")
    assert wrong.returncode == 2
    assert wrong.stdout == "error: steered: there is no trial 7\n"
    stopped = balpoe(head, tmp_path, "stop", "steered", "--trial", "0")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert stopped.stdout == "trial 0 ends as pruned after its running epoch\n"
    await_file(runs / "steered/trials/1/repeat_0/metrics.parquet")
    whole = balpoe(head, tmp_path, "stop", "steered")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    first, second = RecordStore(*find_study("steered", runs)).records()
    assert first.state == "PRUNED"
    assert second.parameters["mixup.alpha"] == 0.25


def test_a_secret_in_an_address_is_refused_before_it_travels(
    head: RayCluster, tmp_path: Path
) -> None:
    write_study(tmp_path, "secret", trials=1, epochs=1)
    for option, address in (
        ("--storage", "postgresql://me:hidden@localhost/db"),
        ("--tracking-uri", "https://hidden@mlflow.example"),
    ):
        refused = balpoe(head, tmp_path, "submit", "secret.yaml", "--runs", "/r", option, address)
        assert refused.returncode == 2
        assert f"error: {option}: names a password" in refused.stderr
        assert "hidden" not in refused.stderr + refused.stdout


def test_a_study_file_that_the_cluster_could_not_read_is_refused_before_it_travels(
    head: RayCluster, tmp_path: Path
) -> None:
    write_study(tmp_path, "paths", trials=1, epochs=1, data="name: folder, root: images")
    refused = balpoe(head, tmp_path, "submit", "paths.yaml", "--runs", "/r")
    assert refused.returncode == 2
    assert "paths.yaml: data.root: must be an absolute path, got 'images'" in refused.stderr


def test_without_a_directory_that_nodes_share_nothing_is_run(
    head: RayCluster, tmp_path: Path
) -> None:
    write_study(tmp_path, "nowhere", trials=1, epochs=1)
    refused = balpoe(head, tmp_path, "submit", "nowhere.yaml")
    assert refused.returncode == 2
    assert "BALPOE_RUNS: is not set on the head; submit with --runs DIR" in refused.stdout


def test_a_dashboard_that_is_not_there_is_told_in_one_line(
    head: RayCluster, tmp_path: Path
) -> None:
    write_study(tmp_path, "lost", trials=1, epochs=1)
    for address, told in (
        ("http://127.0.0.1:1", "Failed to connect to Ray at address: http://127.0.0.1:1"),
        (head.address, "must be that of Ray's dashboard on the head"),
    ):
        refused = balpoe(head, tmp_path, "submit", "lost.yaml", address=address)
        assert refused.returncode == 2
        [line] = refused.stderr.splitlines()
        assert f"--address {address}: " in line
        assert told in line
