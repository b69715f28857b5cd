"""A study on S3 on nodes without a shared disk, after the death of a node and of the driver."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner

from balpoe.cli.main import cli
from balpoe.launch.doctor import doctor
from balpoe.launch.runs import drivers_runs, find_study, local_runs
from balpoe.study.execution.object_store_trial import with_uploads
from balpoe.study.execution.trial import run_trial
from balpoe.study.records.record_store import RecordStore
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.record import TrialRecord
from tests.cluster.ray_nodes import RayCluster
from tests.launch.faults_study import DRIVER, EPOCHS, PARENT, faults_study

RUNS, BELOW = "s3://studies/team", "team/faults/"
TRIALS = 4
# the constraint needs the curve, which the driver must have when a trial ends
FURTHER = """
question: "node dies at checkpoint 2; an epoch takes 0.2 s"
resources: {concurrent_trials: 2}
constraints: {val/ece: {at_most: 1}}
"""


class S3Server(Protocol):
    secret: str

    def names(self, below: str = "") -> set[str]: ...
    def objects(self, below: str = "") -> dict[str, bytes]: ...


class PostgresServer(Protocol):
    password: str

    def dump(self, url: str) -> str: ...


@pytest.fixture
def home(
    tmp_path: Path, bucket: S3Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A directory with a study file; the store and the database are in the environment."""
    (tmp_path / "faults.yaml").write_text(faults_study(TRIALS, FURTHER))
    monkeypatch.setenv("BALPOE_STORAGE", postgres_url)
    monkeypatch.setenv("BALPOE_RUNS", RUNS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def launch(cluster: RayCluster, home: Path, host: Path, *fault: str) -> tuple[int, str]:
    """The exit status of a whole launch from a host with its own copies, and its output."""
    ended = subprocess.run(
        [sys.executable, str(PARENT), str(DRIVER), "faults.yaml", *fault],
        cwd=home,
        env={
            **cluster.environment,
            "CLUSTER_ADDRESS": cluster.address,
            "BALPOE_CACHE": str(host),
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def verb(*arguments: str) -> str:
    """The output of a command."""
    shown = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    return shown.output


def await_death_of_one(cluster: RayCluster) -> None:
    """`ray start` checks its processes once a second."""
    deadline = time.monotonic() + 30
    while [node.is_running() for node in cluster.nodes].count(True) != 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def records() -> tuple[TrialRecord, ...]:
    return RecordStore(*find_study("faults", local_runs(RUNS))).records()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_study_goes_on_from_the_store_when_a_node_and_then_its_driver_are_lost(
    cluster: RayCluster,
    home: Path,
    bucket: S3Server,
    postgres_server: PostgresServer,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosts = [home / f"host_{number}" for number in range(3)]
    for host in hosts:
        host.mkdir()
    scratch = home / "scratch"
    scratch.mkdir()
    for _ in range(2):
        cluster.start_node(hidden=hosts[0], BALPOE_CACHE="/nowhere", TMPDIR=str(scratch))
    cluster.await_nodes()

    # three others are reported: by then trial 1 has the checkpoint at which its node dies
    status, told = launch(cluster, home, hosts[0], "completed", "3")
    assert status == 70, told
    await_death_of_one(cluster)
    shutil.rmtree(hosts[0])
    log = told
    status, told = launch(cluster, home, hosts[1])
    assert status == 0, told
    log += told

    monkeypatch.setenv("BALPOE_CACHE", str(hosts[2]))
    found = records()
    assert [record.state for record in found] == ["COMPLETE"] * TRIALS
    assert all([epoch.epoch for epoch in record.history] == [1, 2, 3] for record in found)
    for record in found:
        assert record.objectives is not None
        worth = float(record.parameters["mixup.alpha"]) / EPOCHS
        assert record.objectives["val/accuracy"] == worth
    epochs = bucket.objects(BELOW)["trials/1/repeat_0/epochs.log"].decode().splitlines()
    done = [line.split()[:2] for line in epochs]
    assert [epoch for _, epoch in done] == ["1", "2", "3"]
    assert done[0] == ["0", "1"]
    assert int(done[1][0]) >= 1
    monkeypatch.setenv("BALPOE_CACHE", str(hosts[1]))
    assert [fault for check in doctor("faults", runs=RUNS) for fault in check.faults] == []

    _every_other_verb_works(bucket)
    _the_key_is_nowhere(bucket, log, [home, cluster.directory])
    assert bucket.secret not in postgres_server.dump(postgres_url)


def _every_other_verb_works(bucket: S3Server) -> None:
    before = bucket.names(BELOW)
    shown = json.loads(verb("status", "faults", "--json"))
    assert shown["trials"]["COMPLETE"] == TRIALS
    verb("sync", "faults")
    assert "is not being run" in verb("stop", "faults")
    exported = verb("export", "faults")
    assert "exports/rank_1_trial_" in exported
    assert any(name.startswith("exports/rank_1_trial_") for name in bucket.names(BELOW))
    cleaned = verb("clean", "faults", "--keep", "front", "--delete")
    gone = before - bucket.names(BELOW)
    assert all("checkpoints/" in name or name.endswith("predictions.parquet") for name in gone)
    assert bool(gone) == ("deleted" in cleaned)
    assert all(record.state == "COMPLETE" for record in records())


def _the_key_is_nowhere(bucket: S3Server, log: str, directories: list[Path]) -> None:
    key = bucket.secret.encode()
    assert key not in log.encode()
    assert [name for name, content in bucket.objects().items() if key in content] == []
    written = [p for directory in directories for p in directory.rglob("*") if p.is_file()]
    assert len(written) > TRIALS
    assert [path for path in written if key in path.read_bytes()] == []
    directory = StudyDirectory.of(drivers_runs(RUNS), "faults")
    assert key not in pickle.dumps((directory, with_uploads(run_trial, directory)))
