"""Epochs in MLflow while a trial runs, and after its driver was killed before a checkpoint."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.entities import Run

from balpoe.launch.doctor import doctor
from balpoe.launch.status import status
from balpoe.reporting.study_status import status_plain
from balpoe.tracking.run_data import EPOCH_MARKER
from balpoe.tracking.tracking_store import local_store, open_client
from tests.launch.faults_study import PARENT, faults_study
from tests.launch.launched_study import kill_driver

pytestmark = pytest.mark.slow

EPOCHS = 30
DRIVER = Path(__file__).with_name("live_driver.py")


def _launch(home: Path, shift: float) -> subprocess.Popen[str]:
    command = [sys.executable, str(PARENT), str(DRIVER), "live.yaml", str(shift)]
    return subprocess.Popen(
        command, cwd=home, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _runs(home: Path, role: str) -> list[Run]:
    client = open_client(local_store(home / "runs"))
    experiment = client.get_experiment_by_name("live")
    found = "" if experiment is None else experiment.experiment_id
    return list(client.search_runs([found], f"tags.role = '{role}'"))


def _losses(home: Path, run: Run) -> dict[int, float]:
    """Return the loss of every epoch of a run, which has each epoch once."""
    client = open_client(local_store(home / "runs"))
    points = client.get_metric_history(run.info.run_id, EPOCH_MARKER)
    losses = {point.step: point.value for point in points}
    assert len(losses) == len(points)
    return losses


def _shown_epoch(home: Path) -> int:
    """Return the epoch that `balpoe status` shows of the running trial."""
    (running,) = status_plain(status("live", runs=home / "runs"))["running"]
    return int(running["epoch"])


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize("shift", [0.0, 0.25])
def test_epochs_are_mirrored_before_a_checkpoint_and_each_value_once_after_a_kill(
    tmp_path: Path, shift: float
) -> None:
    study = faults_study(1).replace("name: faults", "name: live").replace("epochs: 3", "epochs: 30")
    (tmp_path / "live.yaml").write_text(study)

    def mirrored() -> dict[int, float]:
        if not (tmp_path / "runs/mlflow.db").exists():
            return {}
        return next((_losses(tmp_path, run) for run in _runs(tmp_path, "trial")), {})

    with _launch(tmp_path, shift) as supervisor:
        try:
            _await(lambda: len(mirrored()) > 5)
            newest = max(mirrored())
            _await(lambda: _shown_epoch(tmp_path) >= newest)
            kill_driver(supervisor)
        finally:
            supervisor.terminate()
    before = mirrored()
    assert before == {epoch: 1 / epoch for epoch in range(1, len(before) + 1)}
    assert 5 < len(before) < EPOCHS
    assert _shown_epoch(tmp_path) <= 2, "without a driver, the epochs that are on disk"
    assert not [check for check in doctor("live", runs=tmp_path / "runs") if check.faults]

    with _launch(tmp_path, shift) as supervisor:
        assert supervisor.wait(200) == 0
    (run,) = _runs(tmp_path, "trial")
    losses = {epoch: 1 / epoch + shift * (epoch > 2) for epoch in range(1, EPOCHS + 1)}
    assert _losses(tmp_path, run) == losses
    assert (run.info.status, run.data.tags["state"]) == ("FINISHED", "COMPLETE")
    replaced = _runs(tmp_path, "replaced")
    assert [_losses(tmp_path, each) for each in replaced] == ([before] if shift else [])
    assert [each.info.status for each in replaced] == (["KILLED"] if shift else [])
