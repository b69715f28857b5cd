"""The control store of a cluster dies, and with it the driver, in C++."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest

from tests.cluster.ray_nodes import RayCluster
from tests.cluster.study_of_faults import StudyOfFaults

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_study_whose_control_store_is_killed_continues_on_the_next_cluster(
    tmp_path: Path,
) -> None:
    short = Path(tempfile.mkdtemp(prefix="bc", dir="/tmp"))
    first, second = short / "1", short / "2"
    first.mkdir()
    second.mkdir()
    cluster = RayCluster(first)
    try:
        cluster.keep_nodes(1)
        cluster.await_nodes()
        study = StudyOfFaults(cluster, tmp_path, trials=3, epoch_seconds=1.0)
        with study.launched() as supervisor:
            while not study.is_begun(0):
                assert supervisor.poll() is None
                time.sleep(0.1)
            os.kill(cluster.head.process_named("gcs_server"), signal.SIGKILL)
            _, told = supervisor.communicate(timeout=280)
            assert supervisor.returncode == 70
        assert "the driver of the study died without a word" in told
        cluster.end()
        cluster = RayCluster(second)
        cluster.keep_nodes(1)
        cluster.await_nodes()
        continued = StudyOfFaults(cluster, tmp_path, trials=3)
        assert continued.run() == (0, "")
        continued.assert_whole()
        assert continued.deaths_counted() == 0
    finally:
        cluster.end()
        shutil.rmtree(short, ignore_errors=True)
