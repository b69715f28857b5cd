"""`balpoe sync` to MLflow stores on SQLite."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any, Protocol

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from balpoe.config import StudySpec
from balpoe.errors import StorageError, UserError
from balpoe.files import load_study
from balpoe.launch.runs import local_runs
from balpoe.launch.sync import sync
from balpoe.launch.tracking import tracking_store
from balpoe.study.object_store.remote_directory import RemoteDirectory
from balpoe.study.records.record_store import RecordStore
from balpoe.study.storage.lease import hold_lease
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.launch_log import log_launch


class TinyStudy(Protocol):
    runs: Path
    spec: StudySpec
    directory: StudyDirectory


@pytest.fixture(autouse=True)
def no_store_was_named(tiny_study: TinyStudy) -> None:
    tiny_study.directory.tracking_uri.unlink(missing_ok=True)


def _children(client: MlflowClient, study: TinyStudy) -> list[Run]:
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    ids = [experiment.experiment_id]
    return list(client.search_runs(ids, "tags.role = 'trial'", order_by=["tags.number"]))


def _contents(uri: str) -> dict[str, Any]:
    """Return what MLflow shows of the study, by the name of the run."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    return {
        str(run.info.run_name): (
            run.info.status,
            run.data.params,
            run.data.tags,
            {
                name: [(p.step, p.value, p.timestamp) for p in client.get_metric_history(id_, name)]
                for id_ in [run.info.run_id]
                for name in run.data.metrics
            },
        )
        for run in client.search_runs([experiment.experiment_id])
    }


def test_mlflow_holds_what_the_records_say_and_a_second_sync_changes_nothing(
    tiny_study: TinyStudy,
) -> None:
    report = sync("tiny", runs=tiny_study.runs)
    assert report.runs == 4
    first = _contents(report.tracking_uri)
    assert set(first) == {"tiny", "trial 0000", "trial 0001", "trial 0002", "trial 0003"}
    for record in RecordStore(tiny_study.spec, tiny_study.directory).records():
        _, params, tags, metrics = first[f"trial {record.identity.number:04d}"]
        searched = {path: value for path, value in params.items() if not path.startswith("fixed/")}
        assert searched == {name: str(value) for name, value in record.parameters.items()}
        assert tags["state"] == record.state
        for name in record.history[-1].metrics if record.history else ():
            reported = (result for result in record.history if name in result.metrics)
            expected = [(result.epoch, result.metrics[name]) for result in reported]
            assert [(step, value) for step, value, _ in metrics[name]] == expected
    sync("tiny", runs=tiny_study.runs)
    assert _contents(report.tracking_uri) == first


def test_a_store_that_holds_nothing_any_more_is_filled_as_it_was(tiny_study: TinyStudy) -> None:
    first, empty = (f"sqlite:///{tiny_study.runs / name}.db" for name in ("first", "empty"))
    for uri in (first, empty):
        sync("tiny", runs=tiny_study.runs, tracking_uri=uri)
    assert _without_run_ids(_contents(empty)) == _without_run_ids(_contents(first))


def _without_run_ids(contents: dict[str, Any]) -> dict[str, Any]:
    return {
        name: (status, params, {k: v for k, v in tags.items() if k != "mlflow.parentRunId"}, curves)
        for name, (status, params, tags, curves) in contents.items()
    }


def test_an_empty_store_gets_the_commit_of_the_study_file_in_the_launch_of_each_trial(
    tiny_study: TinyStudy, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(tiny_study.directory.path, runs / "tiny")
    started = [r.started for r in RecordStore(tiny_study.spec, tiny_study.directory).records()]
    launches = {"c0ffee": 0.0, None: started[1], "5badc0de": started[2]}
    for number, (commit, moment) in enumerate(launches.items()):
        log_launch(
            StudyDirectory.of(runs, "tiny").launches,
            tiny_study.spec,
            number=number,
            started=moment,
            study_commit=commit,
        )
    contents = _contents(sync("tiny", runs=runs).tracking_uri)
    commits = {name: tags.get("study_commit") for name, (_, _, tags, _) in contents.items()}
    assert commits == {
        "tiny": "5badc0de",
        "trial 0000": "c0ffee",
        "trial 0001": None,
        "trial 0002": "5badc0de",
        "trial 0003": "5badc0de",
    }


def test_an_experiment_and_a_run_that_the_user_deleted_come_back(tiny_study: TinyStudy) -> None:
    uri = f"sqlite:///{tiny_study.runs / 'deletions.db'}"
    sync("tiny", runs=tiny_study.runs, tracking_uri=uri)
    client = MlflowClient(uri)
    client.delete_run(_children(client, tiny_study)[0].info.run_id)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    sync("tiny", runs=tiny_study.runs)
    names = [run.info.run_name for run in _children(client, tiny_study)]
    assert sorted(map(str, names)) == [f"trial {number:04d}" for number in range(4)]


def test_a_store_that_was_named_once_is_kept_with_the_study(
    tiny_study: TinyStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://first:5000")
    named = tracking_store(tiny_study.directory, tiny_study.runs, None)
    assert named.tracking_uri == "http://first:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://second:5000")
    kept = tracking_store(tiny_study.directory, tiny_study.runs, None)
    assert kept.tracking_uri == "http://first:5000"
    wanted = tracking_store(tiny_study.directory, tiny_study.runs, "http://third:5000")
    assert wanted.tracking_uri == "http://third:5000"
    assert tracking_store(tiny_study.directory, tiny_study.runs, None) == wanted


def test_a_database_by_a_relative_path_is_found_from_anywhere(
    tiny_study: TinyStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = tracking_store(tiny_study.directory, tiny_study.runs, "sqlite:///here.db")
    monkeypatch.chdir(os.sep)
    assert tracking_store(tiny_study.directory, tiny_study.runs, None) == named
    assert named.tracking_uri == f"sqlite:///{tmp_path / 'here.db'}"


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns", "ftp://host"])
def test_an_address_where_mlflow_keeps_nothing_is_refused(tiny_study: TinyStudy, uri: str) -> None:
    with pytest.raises(UserError, match="--tracking-uri: must begin with http"):
        sync("tiny", runs=tiny_study.runs, tracking_uri=uri)


def test_a_store_that_cannot_be_reached_is_an_error_with_its_address(
    tiny_study: TinyStudy,
) -> None:
    with pytest.raises(StorageError, match=r"^http://127\.0\.0\.1:9: cannot be written"):
        sync("tiny", runs=tiny_study.runs, tracking_uri="http://127.0.0.1:9")


def test_a_running_study_is_left_to_its_driver(tiny_study: TinyStudy) -> None:
    with hold_lease(tiny_study.directory.lease), pytest.raises(UserError, match="is being run by"):
        sync("tiny", runs=tiny_study.runs)


def _continuation(uri: str) -> list[str]:
    """Return the words of the command on the study's page."""
    _, _, tags, _ = _contents(uri)["tiny"]
    command = re.search("continue: `(.*)`", tags["mlflow.note.content"])
    assert command is not None
    return shlex.split(command[1])


def test_the_page_says_how_the_study_is_continued_from_any_directory(
    tiny_study: TinyStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_study.directory.path, tmp_path / "my runs" / "tiny")
    monkeypatch.chdir(tmp_path)
    report = sync("tiny", runs="my runs")
    monkeypatch.chdir(os.sep)
    balpoe, verb, file, option, runs = _continuation(report.tracking_uri)
    assert (balpoe, verb, option) == ("balpoe", "run", "--runs")
    assert runs == str(tmp_path / "my runs")
    assert load_study(file) == tiny_study.spec


def test_of_a_study_on_an_object_store_it_names_the_store_and_a_file_of_this_host(
    tiny_study: TinyStudy, bucket: object
) -> None:
    there = RemoteDirectory("s3://studies/team/tiny")
    for path in tiny_study.directory.path.rglob("*"):
        if path.is_file():
            name = path.relative_to(tiny_study.directory.path).as_posix()
            there.write(name, path.read_bytes())
    report = sync("tiny", runs="s3://studies/team")
    *_, file, option, runs = _continuation(report.tracking_uri)
    assert (option, runs) == ("--runs", "s3://studies/team")
    assert Path(file).parent == local_runs(runs) / "tiny"
    assert load_study(file) == tiny_study.spec
