"""Errors of the commands for studies on S3 that cannot be reached or created."""

from __future__ import annotations

import pickle
import socket
import time
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner

from balpoe.cli.main import cli
from balpoe.cluster.node_inspection import inspect_node
from balpoe.errors import StorageError, UserError
from balpoe.files import load_study
from balpoe.launch.check import check
from balpoe.launch.run import run
from balpoe.launch.status import status
from balpoe.launch.submit import submit
from balpoe.launch.train import train
from balpoe.study.execution.software import software
from balpoe.study.object_store.remote_directory import _store
from tests.launch.faults_study import faults_study

RUNS = "s3://studies/team"
SECONDS = 10.0


class S3Server(Protocol):
    def names(self, below: str = "") -> set[str]: ...
    def objects(self, below: str = "") -> dict[str, bytes]: ...
    def refuse_everyone(self, is_so: bool) -> None: ...


@pytest.fixture
def study(tmp_path: Path, bucket: S3Server) -> Path:
    file = tmp_path / "faults.yaml"
    file.write_text(faults_study(1))
    return file


def test_it_needs_postgresql(study: Path, bucket: S3Server) -> None:
    with pytest.raises(UserError, match=r"needs its trials in PostgreSQL; .*--storage postgres"):
        run(study, runs=RUNS)
    assert bucket.names() == set()
    data = "{name: parquet, train: absent.parquet, test: absent.parquet}"
    study.write_text(study.read_text().replace("{name: digits_lt}", data))
    (warning,) = check(study, runs=RUNS).warnings
    assert warning.startswith("s3://studies/team/faults: a study on an object store needs")


def test_a_bucket_that_is_not_there_is_told_in_a_line(study: Path) -> None:
    with pytest.raises(StorageError) as refused:
        run(study, runs="s3://nowhere/team")
    assert str(refused.value) == (
        "s3://nowhere: there is no such bucket; create it, or name another"
    )


def test_a_bucket_of_others_is_told_with_the_cure(study: Path, bucket: S3Server) -> None:
    bucket.refuse_everyone(True)
    try:
        with pytest.raises(StorageError, match=r"ACCESS_DENIED.*; give credentials that may list"):
            run(study, runs=RUNS)
    finally:
        bucket.refuse_everyone(False)


def test_an_endpoint_that_nobody_listens_at_is_told_within_seconds(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    _store.cache_clear()
    began = time.monotonic()
    with pytest.raises(StorageError, match=r"cannot be reached: NETWORK_CONN.*; check AWS_"):
        status("faults", runs=RUNS)
    assert time.monotonic() - began < SECONDS


@pytest.mark.parametrize("verb", ["status", "stop", "sync", "doctor", "export", "clean"])
def test_a_study_that_is_not_there_is_no_study(verb: str, bucket: S3Server) -> None:
    options = ["--keep", "front"] if verb == "clean" else []
    with pytest.raises(UserError, match=r"digits: no such study in s3://studies/team$"):
        CliRunner().invoke(cli, [verb, "digits", "--runs", RUNS, *options], catch_exceptions=False)
    assert bucket.names() == set()


def test_an_endpoint_without_a_protocol_is_refused(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio:9000")
    _store.cache_clear()
    with pytest.raises(UserError, match=r"AWS_ENDPOINT_URL: must begin with .*got 'minio:9000'"):
        run(study, runs=RUNS)


def test_a_node_that_cannot_write_there_says_so(study: Path, bucket: S3Server) -> None:
    needs = pickle.dumps(load_study(study).base)
    there = inspect_node(software(), f"{RUNS}/faults/.probe", "token", 0, needs)
    assert there["faults"] == []
    assert bucket.objects("team/faults/") == {".probe": b"token"}
    nowhere = inspect_node(software(), "s3://nowhere/faults/.probe", "token", 0, needs)
    assert nowhere["faults"] == [
        "s3://nowhere: there is no such bucket; create it, or name another"
    ]


def test_models_are_files(tmp_path: Path, bucket: S3Server) -> None:
    file = tmp_path / "best.yaml"
    file.write_text("data: {name: digits_lt}\nmodel: {backbone: resnet8}\n")
    with pytest.raises(UserError, match=r"--out: name a directory for the models; --runs is s3://"):
        train(file, [0], runs=RUNS)


def test_another_kind_of_store_is_refused_before_it_travels(study: Path) -> None:
    with pytest.raises(UserError, match="--runs: must be a directory or s3://BUCKET/PREFIX"):
        submit(study, "http://127.0.0.1:9", runs="gs://studies/team")
