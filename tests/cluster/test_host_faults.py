"""Hosts of a cluster whose clock is wrong, or whose disk is full, during a study."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.entities import Run

from balpoe.atomic_write import write_text_atomically
from balpoe.cli.main import cli
from balpoe.launch.status import status
from tests.cluster.ray_nodes import RayCluster
from tests.cluster.study_of_faults import StudyOfFaults, wait_until
from tests.small_disk import small_disk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

WRONG_CLOCK = Path(__file__).with_name("wrong_clock")
HOUR = 3600.0
EPOCH_SECONDS = 0.5
TOLERANCE_SECONDS = 1.0
"""The error of a clock that is read on a busy machine."""
CURES = ("free some space on the disk", "disk is full; check the disk's space")


def test_workers_whose_disk_is_full_stop_the_study_with_a_line_and_it_continues_later(
    cluster: RayCluster, tmp_path: Path
) -> None:
    cluster.keep_nodes(2)
    cluster.await_nodes()
    study = StudyOfFaults(cluster, tmp_path, trials=4, epoch_seconds=EPOCH_SECONDS)
    with small_disk(study.runs / "faults/trials", "2m") as disk:
        with study.launched() as supervisor:
            wait_until(lambda: study.is_begun(0) and study.is_begun(1), supervisor)
            disk.fill()
            _, told = supervisor.communicate(timeout=120)
        assert supervisor.returncode == 2, told
        [line] = told.splitlines()
        assert line.startswith(f"error: {disk.path}")
        assert line.endswith("No space left on device; free some space on the disk")
        assert "FAIL" not in {record.state for record in study.records()}
        disk.free()
        assert study.run() == (0, "")
        study.assert_whole()
        assert study.deaths_counted() == 0
        for number in range(4):
            epochs = [epoch for _attempt, epoch in map(str.split, study.epochs_done(number))]
            # only the epochs that could not be saved are repeated
            assert sorted(set(epochs)) == ["1", "2", "3"]
            assert len(epochs) <= 4


@pytest.mark.timeout(900)
def test_disks_that_are_full_at_random_stop_a_study_with_a_line_each_time(
    cluster: RayCluster, tmp_path: Path, moments: random.Random
) -> None:
    """The disk of the driver's files, its database among them, or that of the trials."""
    cluster.keep_one_node()
    study = StudyOfFaults(cluster, tmp_path, trials=60)
    with (
        small_disk(study.runs / "faults", "16m") as drivers,
        small_disk(study.runs / "faults/trials", "16m") as workers,
    ):
        for _ in range(20):
            disk = moments.choice([drivers, workers])
            with study.launched() as supervisor:
                time.sleep(moments.uniform(0.0, 10.0))
                disk.fill()
                _, told = supervisor.communicate(timeout=120)
            disk.free()
            assert supervisor.returncode == 2, told
            heading, *lines = told.splitlines()
            if heading != "error: the cluster cannot run this yet:":
                lines.append(heading.removeprefix("error: "))
            for line in lines:
                assert str(disk.path) in line
                assert any(cure in line for cure in CURES), line
        # no trial has failed: all are COMPLETE in the end
        assert study.run() == (0, "")
        study.assert_whole()
        assert study.deaths_counted() == 0


@dataclass(frozen=True, slots=True)
class Span:
    """Two times of the right clock, in Unix seconds."""

    begin: float
    end: float

    def __contains__(self, moment: float) -> bool:
        return self.begin - TOLERANCE_SECONDS <= moment <= self.end + TOLERANCE_SECONDS


@dataclass(frozen=True, slots=True)
class Jump:
    """The seconds after which a clock is set, and by how many."""

    wait: float
    ahead: float


def test_a_node_whose_clock_is_wrong_and_jumps_back_leaves_every_time_of_a_study_right(
    cluster: RayCluster, tmp_path: Path
) -> None:
    assert_times_are_right_where_a_clock_jumps(cluster, tmp_path, [Jump(0.0, -3 * HOUR)], trials=6)


def test_a_node_whose_clock_is_set_at_random_leaves_every_time_of_a_study_right(
    cluster: RayCluster, tmp_path: Path, moments: random.Random
) -> None:
    day = 24 * HOUR
    jumps = [Jump(moments.uniform(0.0, 1.0), moments.uniform(-day, day)) for _ in range(20)]
    assert_times_are_right_where_a_clock_jumps(cluster, tmp_path, jumps, trials=24)


def assert_times_are_right_where_a_clock_jumps(
    cluster: RayCluster, tmp_path: Path, jumps: Sequence[Jump], *, trials: int
) -> None:
    """In the study, its status and MLflow, with one of two nodes five hours ahead at first."""
    clock = tmp_path / "clock"
    clock.write_text(str(5 * HOUR))
    cluster.keep_nodes(1)
    cluster.start_node(
        PYTHONPATH=os.pathsep.join([str(WRONG_CLOCK), os.environ.get("PYTHONPATH", "")]),
        WRONG_CLOCK=str(clock),
    )
    cluster.await_nodes()
    study = StudyOfFaults(
        cluster, tmp_path, trials=trials, epoch_seconds=EPOCH_SECONDS, wall_hours=1
    )
    begin = time.time()
    with study.launched() as supervisor:
        with study.holding(0):
            wait_until(lambda: study.is_begun(0) and study.is_begun(1), supervisor)
            for jump in jumps:
                time.sleep(jump.wait)
                write_text_atomically(clock, str(jump.ahead))
        for trial in shown_status(study)["running"]:
            last = trial["last_epoch_ended"]
            assert last is None or last in Span(trial["started"], time.time())
        _, told = supervisor.communicate(timeout=120)
    cluster.nodes.pop().kill()
    whole = Span(begin, time.time())
    assert supervisor.returncode == 0, told
    [remark] = told.splitlines()
    assert re.search(r"its clock is at least 1[78]\d{3} seconds ahead of the driver's", remark)
    study.assert_whole()
    assert len({node for number in range(trials) for node in study.nodes_of(number)}) == 2
    assert_right_times(study, whole)
    spent = status("faults", runs=study.runs).spent
    assert 0 < spent.device_seconds / 2 <= spent.wall_seconds <= whole.end - whole.begin
    left = shown_status(study)["left"]["wall_hours"]
    assert left == pytest.approx(1 - spent.wall_seconds / HOUR)


def assert_right_times(study: StudyOfFaults, whole: Span) -> None:
    """In the records, in the results on disk and in MLflow."""
    for record in study.records():
        assert record.ended is not None
        moments = [record.started, *(epoch.unix_time for epoch in record.history), record.ended]
        assert all(moment in whole for moment in moments)
        for earlier, later in pairwise(moments):
            assert later >= earlier - TOLERANCE_SECONDS
        for first, second in pairwise(record.history):
            assert second.unix_time - first.unix_time >= 0.99 * EPOCH_SECONDS
    for run in mirrored(study):
        times = [run.info.start_time, run.info.end_time]
        assert times == sorted(times)
        times += [metric.timestamp for metric in run.data._metric_objs]
        assert all(milliseconds / 1000 in whole for milliseconds in times)


def mirrored(study: StudyOfFaults) -> list[Run]:
    """The runs of the study in MLflow, its own among them."""
    client = MlflowClient(f"sqlite:///{study.runs}/mlflow.db")
    experiment = client.get_experiment_by_name("faults")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def shown_status(study: StudyOfFaults) -> dict[str, Any]:
    """The output of `balpoe status --json`."""
    arguments = ["status", "faults", "--json", "--runs", str(study.runs)]
    shown = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    plain: dict[str, Any] = json.loads(shown.output)
    return plain
