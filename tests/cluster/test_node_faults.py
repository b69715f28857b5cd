"""Nodes of a real cluster that die in the middle of a trial, at every point that has a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.ray_nodes import RayCluster
from tests.cluster.study_of_faults import EPOCHS, StudyOfFaults

pytestmark = pytest.mark.slow

AT_NODES = (
    ("begun", 1, EPOCHS),
    ("checkpoint 1", 2, EPOCHS),
    ("checkpoint 3", None, EPOCHS),
    ("recorded", None, EPOCHS),
    ("result", None, EPOCHS),
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mortal", ["node", "raylet"])
@pytest.mark.parametrize(("point", "next_epoch", "epochs"), AT_NODES)
def test_a_node_that_dies_costs_no_finished_epoch_and_no_retry(
    cluster: RayCluster,
    tmp_path: Path,
    mortal: str,
    point: str,
    next_epoch: int | None,
    epochs: int,
) -> None:
    cluster.keep_nodes(2)
    cluster.await_nodes()
    study = StudyOfFaults(cluster, tmp_path, trials=4, question=f"{mortal} dies at {point}")
    assert study.run() == (0, "")
    study.assert_whole()
    assert study.records()[1].identity.attempt == 1
    assert study.deaths_counted() == 0
