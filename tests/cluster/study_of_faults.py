"""A study whose trials do no work, launched on a cluster of the tests, and what came of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from balpoe.launch.doctor import doctor
from balpoe.launch.lookup import study_of
from balpoe.study.ledger import Ledger
from balpoe.study.record import TrialIdentity, TrialRecord
from balpoe.study.store import RecordStore
from tests.cluster.ray_nodes import RayCluster

LAUNCH = Path(__file__).parents[1] / "launch"
PARENT, DRIVER = LAUNCH / "supervised.py", LAUNCH / "fault_driver.py"
EPOCHS = 3


class StudyOfFaults:
    """The study `faults` below `directory`, to be run on `cluster`."""

    def __init__(self, cluster: RayCluster, directory: Path, *, trials: int, question: str = ""):
        self._cluster = cluster
        self._directory = directory
        self._trials = trials
        (directory / "faults.yaml").write_text(f"""
name: faults
question: {question or "none"}
data: {{name: digits_lt}}
model: {{backbone: resnet8}}
training: {{epochs: {EPOCHS}}}
search:
  mixup.alpha: {{type: float, low: 0.0, high: 1.0}}
  experts.spread: {{type: float, low: 0.0, high: 2.0}}
objectives: {{val/accuracy: maximize, val/ece: minimize}}
budget: {{trials: {trials}}}
resources: {{concurrent_trials: 2}}
""")

    @property
    def runs(self) -> Path:
        """Where the study is kept."""
        return self._directory / "runs"

    @contextmanager
    def launched(self) -> Iterator[subprocess.Popen[str]]:
        """A launch under its supervisor."""
        with subprocess.Popen(
            [sys.executable, str(PARENT), str(DRIVER), "faults.yaml"],
            cwd=self._directory,
            env={**self._cluster.environment, "CLUSTER_ADDRESS": self._cluster.address},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as supervisor:
            try:
                yield supervisor
            finally:
                supervisor.terminate()

    def run(self) -> tuple[int, str]:
        """The status of a whole launch, and what it told of errors."""
        with self.launched() as supervisor:
            _, told = supervisor.communicate(timeout=280)
            return supervisor.returncode, told

    def records(self) -> tuple[TrialRecord, ...]:
        """Its trials."""
        return RecordStore(*study_of("faults", self.runs)).records()

    def epochs_done(self, number: int) -> list[str]:
        """`ATTEMPT EPOCH` of all epochs that were worked on in a trial, lost or not."""
        directory = study_of("faults", self.runs)[1].trial(TrialIdentity("faults", number))
        return (directory.path / "epochs.log").read_text().splitlines()

    def deaths_counted(self) -> int:
        """How many deaths of workers were held against trials."""
        study = Ledger(*study_of("faults", self.runs))._study
        return sum(trial.user_attrs.get("deaths_without_progress", 0) for trial in study.trials)

    def assert_whole(self) -> None:
        """Every trial is COMPLETE, worth what its parameters are worth, and the doctor content."""
        records = self.records()
        assert [record.state for record in records] == ["COMPLETE"] * self._trials
        for record in records:
            assert record.objectives is not None
            worth = float(record.parameters["mixup.alpha"]) / EPOCHS
            assert record.objectives["val/accuracy"] == worth
            assert [result.epoch for result in record.history] == [1, 2, 3]
        checks = doctor("faults", runs=self.runs)
        assert [fault for check in checks for fault in check.faults] == []
