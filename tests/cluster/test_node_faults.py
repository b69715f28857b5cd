"""Nodes of a real cluster that die, freeze, join and differ during a study."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cluster.other_code import other_code
from tests.cluster.ray_nodes import RayCluster
from tests.cluster.study_of_faults import StudyOfFaults, end_of, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# the epochs of all attempts at the trial: those before a checkpoint are not repeated
AT_POINTS = {
    "begun": ["1 1", "1 2", "1 3"],
    "checkpoint 1": ["0 1", "1 2", "1 3"],
    "checkpoint 3": ["0 1", "0 2", "0 3"],
    "recorded": ["0 1", "0 2", "0 3"],
    "result": ["0 1", "0 2", "0 3"],
}


def test_nodes_that_die_at_every_point_cost_no_finished_epoch_and_no_retry(
    cluster: RayCluster, tmp_path: Path
) -> None:
    study = survivor_of(cluster, tmp_path, "node", list(AT_POINTS))
    for number, epochs in enumerate(AT_POINTS.values(), 1):
        assert study.epochs_done(number) == epochs


def test_a_raylet_that_dies_is_the_death_of_its_node(cluster: RayCluster, tmp_path: Path) -> None:
    # its worker detects within seconds that its node is lost, and may finish another epoch before
    study = survivor_of(cluster, tmp_path, "raylet", ["checkpoint 1"], epoch_seconds=5.0)
    first, *others = study.epochs_done(1)
    assert first == "0 1"
    assert [epoch for _attempt, epoch in map(str.split, others)] in (["2", "3"], ["2", "2", "3"])


def survivor_of(
    cluster: RayCluster,
    directory: Path,
    mortal: str,
    points: Sequence[str],
    *,
    epoch_seconds: float = 0.3,
) -> StudyOfFaults:
    """A finished study in which a node died during each trial but the first."""
    cluster.keep_nodes(2)
    cluster.await_nodes()
    question = f"{mortal} dies at {', '.join(points)}"
    study = StudyOfFaults(
        cluster,
        directory,
        trials=1 + len(points),
        question=question,
        epoch_seconds=epoch_seconds,
    )
    with study.launched() as supervisor:
        assert end_of(supervisor, lambda: cluster.keep_nodes(2)) == (0, "")
    study.assert_whole()
    assert [record.identity.attempt for record in study.records()] == [0] + [1] * len(points)
    assert study.deaths_counted() == 0
    return study


def test_a_node_that_freezes_for_longer_than_ray_waits_changes_nothing_when_it_is_back(
    cluster: RayCluster, tmp_path: Path
) -> None:
    cluster.keep_nodes(2)
    cluster.await_nodes()
    study = StudyOfFaults(cluster, tmp_path, trials=3, epoch_seconds=2.0)
    with study.launched() as supervisor:
        wait_until(lambda: study.is_begun(0) and study.is_begun(1), supervisor)
        frozen = cluster.nodes.pop()
        frozen.signal(signal.SIGSTOP)
        _, told = supervisor.communicate(timeout=600)
        assert (supervisor.returncode, told) == (0, "")
    study.assert_whole()
    before = study.contents()
    frozen.signal(signal.SIGCONT)
    time.sleep(10)  # its worker would have finished an epoch and its record by now
    frozen.kill()
    assert study.contents() == before
    study.assert_whole()
    assert sorted(record.identity.attempt for record in study.records()) == [0, 0, 1]
    assert study.deaths_counted() == 0


def test_a_node_that_joins_is_used(cluster: RayCluster, tmp_path: Path) -> None:
    cluster.keep_one_node()
    study = StudyOfFaults(cluster, tmp_path, trials=2)
    with study.launched() as supervisor:
        with study.holding(0):
            wait_until(lambda: study.is_begun(0), supervisor)
            cluster.keep_nodes(2)
            wait_until(lambda: study.is_begun(1), supervisor)
        _, told = supervisor.communicate(timeout=600)
        assert (supervisor.returncode, told) == (0, "")
    study.assert_whole()
    assert len({*study.nodes_of(0), *study.nodes_of(1)}) == 2


@pytest.mark.parametrize("has", ["other code", "no files"])
def test_an_unfit_node_that_joins_stops_the_study_by_its_name(
    cluster: RayCluster, tmp_path: Path, has: str
) -> None:
    cluster.keep_one_node()
    study = StudyOfFaults(cluster, tmp_path, trials=2)
    with study.launched() as supervisor:
        with study.holding(0):
            wait_until(lambda: study.is_begun(0), supervisor)
            if has == "other code":
                cluster.start_node(hostname="joined", PYTHONPATH=str(other_code(tmp_path)))
                fault, cure = (
                    "balpoe's code is",
                    "install the driver's version there, or remove the node",
                )
            else:
                cluster.start_node(hostname="joined", hidden=study.runs)
                fault, cure = "is not seen there", "must be on storage that all nodes share"
            # reported at once: an epoch may last for an hour
            wait_until(lambda: fault in study.told(), supervisor)
        _, told = supervisor.communicate(timeout=600)
        cluster.nodes.pop().kill()
        assert supervisor.returncode == 2
    [line] = told.splitlines()
    assert line.startswith("error: joined (127.0.0.")
    assert fault in line
    assert cure in line
    assert "FAIL" not in {record.state for record in study.records()}
    assert study.run() == (0, "")
    study.assert_whole()
