"""The control store of a cluster dies, which aborts the driver in C++."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.cluster.ray_nodes import ray_cluster
from tests.cluster.study_of_faults import StudyOfFaults, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TIMES = 20


def test_a_study_whose_control_store_is_killed_continues_on_the_next_cluster(
    tmp_path: Path,
) -> None:
    with ray_cluster(nodes=1) as cluster:
        study = StudyOfFaults(cluster, tmp_path, trials=3, epoch_seconds=1.0)
        with study.launched() as supervisor:
            wait_until(lambda: study.is_begun(0), supervisor)
            assert cluster.head.kill_named("gcs_server") == 1
            _, told = supervisor.communicate(timeout=280)
            assert supervisor.returncode == 70
        assert "the driver died unexpectedly" in told
    with ray_cluster(nodes=1) as cluster:
        continued = StudyOfFaults(cluster, tmp_path, trials=3)
        assert continued.run() == (0, "")
        continued.assert_whole()
        assert continued.deaths_counted() == 0


def test_a_study_survives_twenty_control_stores_that_die_at_random(
    tmp_path: Path, moments: random.Random
) -> None:
    trials = 12
    for _ in range(TIMES):
        with ray_cluster(nodes=1) as cluster:
            study = StudyOfFaults(cluster, tmp_path, trials=trials)
            with study.holding(0), study.launched() as supervisor:
                time.sleep(moments.uniform(0.0, 10.0))
                assert cluster.head.kill_named("gcs_server") == 1
                _, told = supervisor.communicate(timeout=120)
                # a driver without trials yet reports it
                assert supervisor.returncode == 70 or told.startswith("error: "), told
                assert "Traceback" not in told
    with ray_cluster(nodes=1) as cluster:
        study = StudyOfFaults(cluster, tmp_path, trials=trials)
        assert study.run() == (0, "")
        study.assert_whole()
        assert study.deaths_counted() == 0
