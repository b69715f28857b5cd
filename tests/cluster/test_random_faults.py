"""Faults of nodes, their code and clocks at twenty random times; elsewhere at named points."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from threading import Timer

import pytest

from tests.cluster.other_code import other_code
from tests.cluster.ray_nodes import RayCluster, RayNode
from tests.cluster.study_of_faults import StudyOfFaults, end_of, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TIMES = 20
DIFFERENCE = "balpoe's code is"
LONGEST_FREEZE_SECONDS = 12.0
"""Ray gives up a node after about six."""


def test_nodes_that_die_and_freeze_at_random_cost_a_study_nothing(
    cluster: RayCluster, tmp_path: Path, moments: random.Random
) -> None:
    """Twenty times a node or its raylet is killed, and twenty times a node is frozen."""
    cluster.keep_nodes(3)
    cluster.await_nodes()
    study = StudyOfFaults(cluster, tmp_path, trials=60, epoch_seconds=0.5)
    faults = [kill] * TIMES + [freeze] * TIMES
    moments.shuffle(faults)
    thaws: list[Timer] = []
    with study.launched() as supervisor:
        with study.holding(0):
            wait_until(lambda: study.is_begun(0), supervisor)
            for fault in faults:
                time.sleep(moments.uniform(0.0, 3.0))
                assert supervisor.poll() is None
                fault(moments.choice(cluster.nodes), moments, thaws)
                cluster.keep_nodes(3)
            for thaw in thaws:
                thaw.join()
        assert end_of(supervisor, lambda: cluster.keep_nodes(3)) == (0, "")
    study.assert_whole()
    assert study.deaths_counted() == 0


def kill(node: RayNode, moments: random.Random, _thaws: list[Timer]) -> None:
    """The node, or only its raylet."""
    if moments.random() < 0.5:
        node.kill()
    else:
        node.kill_named("raylet")


def freeze(node: RayNode, moments: random.Random, thaws: list[Timer]) -> None:
    """For a time that is shorter or longer than Ray's patience."""
    node.signal(signal.SIGSTOP)
    seconds = moments.uniform(0.0, LONGEST_FREEZE_SECONDS)
    thaws.append(Timer(seconds, node.signal, [signal.SIGCONT]))
    thaws[-1].start()


def test_nodes_with_other_code_that_join_at_random_are_refused_and_their_study_continues(
    cluster: RayCluster, tmp_path: Path, moments: random.Random
) -> None:
    """Twenty of them, in five launches: the first that would receive a trial stops its study."""
    cluster.keep_one_node()
    trials = 10
    study = StudyOfFaults(cluster, tmp_path, trials=trials)
    elsewhere = str(other_code(tmp_path))
    for _ in range(5):
        with study.launched() as supervisor:
            with study.holding(*range(trials)):
                for _ in range(TIMES // 5):
                    time.sleep(moments.uniform(0.0, 4.0))
                    cluster.start_node(PYTHONPATH=elsewhere)
                while supervisor.poll() is None and DIFFERENCE not in study.told():
                    time.sleep(0.1)
            _, told = supervisor.communicate(timeout=120)
        for _ in range(TIMES // 5):
            cluster.nodes.pop().kill()
        assert supervisor.returncode == 2, told
        assert told.startswith("error: ")
        assert DIFFERENCE in told
        assert "FAIL" not in {record.state for record in study.records()}
    assert study.run() == (0, "")
    study.assert_whole()
