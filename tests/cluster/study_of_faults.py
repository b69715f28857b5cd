"""A study whose trials do no work, launched on a test cluster, and its results."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from balpoe.launch.runs import find_study
from balpoe.study.records.ledger import Ledger
from balpoe.study.trials.record import TrialRecord
from tests.cluster.ray_nodes import RayCluster
from tests.launch.faults_study import faults_study
from tests.launch.launched_study import OUTPUT_FILE, assert_complete, holding, launch, recorded

WAIT_SECONDS = 240.0


class StudyOfFaults:
    """The study `faults` in `directory`, for the cluster `cluster`."""

    def __init__(
        self,
        cluster: RayCluster,
        directory: Path,
        *,
        trials: int,
        question: str = "",
        epoch_seconds: float = 0.3,
        wall_hours: float | None = None,
    ) -> None:
        self._cluster = cluster
        self._directory = directory
        self._trials = trials
        further = (
            f'question: "{question}; an epoch takes {epoch_seconds} s"\n'
            "resources: {concurrent_trials: 2}"
        )
        (directory / "faults.yaml").write_text(faults_study(trials, further, wall_hours=wall_hours))

    @property
    def runs(self) -> Path:
        """The directory of the study's runs."""
        return self._directory / "runs"

    def launched(self) -> AbstractContextManager[subprocess.Popen[str]]:
        """A launch with its supervisor, whose stderr is separate."""
        environment = {**self._cluster.environment, "CLUSTER_ADDRESS": self._cluster.address}
        return launch(self._directory, errors_alone=True, environment=environment)

    def holding(self, *trials: int) -> AbstractContextManager[None]:
        """Within the block these trials do not finish an epoch."""
        return holding(self._directory, *trials)

    def told(self) -> str:
        """The stdout of the last launch, on one line."""
        return " ".join((self._directory / OUTPUT_FILE).read_text().split())

    def run(self) -> tuple[int, str]:
        """The exit status and the stderr of a whole launch."""
        with self.launched() as supervisor:
            _, told = supervisor.communicate(timeout=280)
            return supervisor.returncode, told

    def records(self) -> tuple[TrialRecord, ...]:
        """The records of its trials."""
        return recorded(self._directory)

    def is_begun(self, number: int) -> bool:
        """Whether a trial has finished an epoch."""
        return self._log(number).exists()

    def epochs_done(self, number: int) -> list[str]:
        """`ATTEMPT EPOCH` of all epochs of a trial that were executed, lost or not."""
        lines = self._log(number).read_text().splitlines()
        return [line.rpartition(" ")[0] for line in lines]

    def nodes_of(self, number: int) -> list[str]:
        """The node of each of these epochs."""
        return [line.rpartition(" ")[2] for line in self._log(number).read_text().splitlines()]

    def contents(self) -> dict[Path, bytes]:
        """The contents of the files that workers write, except `epochs.log`."""
        files = (self.runs / "faults/trials").rglob("*")
        return {path: path.read_bytes() for path in files if path.suffix in (".parquet", ".json")}

    def _log(self, number: int) -> Path:
        return self.runs / f"faults/trials/{number}/repeat_0/epochs.log"

    def deaths_counted(self) -> int:
        """The number of deaths of workers that count for trials."""
        study = Ledger(*find_study("faults", self.runs))._study
        return sum(trial.user_attrs.get("deaths_without_progress", 0) for trial in study.trials)

    def assert_whole(self) -> None:
        """Check that every trial is COMPLETE with its values, and `doctor` finds no fault."""
        assert_complete(self._directory, self._trials)


def end_of(launch: subprocess.Popen[str], meanwhile: Callable[[], None]) -> tuple[int, str]:
    """The exit status and the stderr of a launch; `meanwhile` is called until it ends."""
    while True:
        # its output must be read, or it blocks
        with suppress(subprocess.TimeoutExpired):
            _, told = launch.communicate(timeout=0.5)
            return launch.returncode, told
        meanwhile()


def wait_until(is_so: Callable[[], bool], launch: subprocess.Popen[str]) -> None:
    """Return when `is_so()` is true, while the launch runs."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert launch.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
