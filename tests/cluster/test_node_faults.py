"""Nodes of a real cluster that die, freeze, join and differ in the middle of a study."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.cluster.other_code import other_code
from tests.cluster.ray_nodes import RayCluster
from tests.cluster.study_of_faults import StudyOfFaults, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# the epochs of all attempts at the trial: what a checkpoint holds is not done again
AT_POINTS = {
    "begun": ["1 1", "1 2", "1 3"],
    "checkpoint 1": ["0 1", "1 2", "1 3"],
    "checkpoint 3": ["0 1", "0 2", "0 3"],
    "recorded": ["0 1", "0 2", "0 3"],
    "result": ["0 1", "0 2", "0 3"],
}


@pytest.mark.parametrize("point", AT_POINTS)
def test_a_node_that_dies_at_a_point_costs_no_finished_epoch_and_no_retry(
    cluster: RayCluster, tmp_path: Path, point: str
) -> None:
    study = survivor_of(cluster, tmp_path, "node", point)
    assert study.epochs_done(1) == AT_POINTS[point]


def test_a_raylet_that_dies_is_the_death_of_its_node(cluster: RayCluster, tmp_path: Path) -> None:
    # its worker sees within seconds that it is alone, and may end another epoch before
    study = survivor_of(cluster, tmp_path, "raylet", "checkpoint 1", epoch_seconds=5.0)
    first, *others = study.epochs_done(1)
    assert first == "0 1"
    assert [epoch for _attempt, epoch in map(str.split, others)] in (["2", "3"], ["2", "2", "3"])


def survivor_of(
    cluster: RayCluster, directory: Path, mortal: str, point: str, *, epoch_seconds: float = 0.3
) -> StudyOfFaults:
    """A study that came to its end although a node died."""
    cluster.keep_nodes(2)
    cluster.await_nodes()
    question = f"{mortal} dies at {point}"
    study = StudyOfFaults(
        cluster, directory, trials=2, question=question, epoch_seconds=epoch_seconds
    )
    assert study.run() == (0, "")
    study.assert_whole()
    assert study.records()[1].identity.attempt == 1
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
    time.sleep(10)  # its worker would have ended an epoch and its record by now
    frozen.kill()
    assert study.contents() == before
    study.assert_whole()
    assert sorted(record.identity.attempt for record in study.records()) == [0, 0, 1]
    assert study.deaths_counted() == 0


def test_a_node_that_joins_is_used(cluster: RayCluster, tmp_path: Path) -> None:
    cluster.keep_one_node()
    study = StudyOfFaults(cluster, tmp_path, trials=2)
    with study.launched() as supervisor:
        with study.holding_trial_0():
            wait_until(lambda: study.is_begun(0), supervisor)
            cluster.keep_nodes(2)
            wait_until(lambda: study.is_begun(1), supervisor)
        _, told = supervisor.communicate(timeout=600)
        assert (supervisor.returncode, told) == (0, "")
    study.assert_whole()
    assert len({*study.nodes_of(0), *study.nodes_of(1)}) == 2


def test_a_node_that_joins_with_other_code_stops_the_study_by_its_name(
    cluster: RayCluster, tmp_path: Path
) -> None:
    cluster.keep_one_node()
    study = StudyOfFaults(cluster, tmp_path, trials=2)
    with study.launched() as supervisor:
        with study.holding_trial_0():
            wait_until(lambda: study.is_begun(0), supervisor)
            other = cluster.start_node(PYTHONPATH=str(other_code(tmp_path)))
            wait_until(lambda: other.has_actor("TrialActor"), supervisor)
        _, told = supervisor.communicate(timeout=600)
        cluster.nodes.pop().kill()
        assert supervisor.returncode == 2
    [line] = told.splitlines()
    assert line.startswith("error: ")
    assert "balpoe's code is" in line
    assert "install the driver's there, or take the node away" in line
    assert "FAIL" not in {record.state for record in study.records()}
    assert study.run() == (0, "")
    study.assert_whole()


def test_twenty_nodes_killed_at_random_cost_a_study_nothing(
    cluster: RayCluster, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    cluster.keep_nodes(3)
    cluster.await_nodes()
    trials, kills = 60, 0
    study = StudyOfFaults(cluster, tmp_path, trials=trials, epoch_seconds=1.0)
    with study.launched() as supervisor:
        wait_until(lambda: study.is_begun(0), supervisor)
        while supervisor.poll() is None and kills < 20:
            time.sleep(moments.uniform(0.0, 10.0))
            cluster.nodes.pop(moments.randrange(len(cluster.nodes))).kill()
            kills += 1
            cluster.keep_nodes(3)
        _, told = supervisor.communicate(timeout=800)
        assert (supervisor.returncode, told) == (0, "")
    study.assert_whole()
    assert study.deaths_counted() == 0
