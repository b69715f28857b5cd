"""The files of a study and of its trials, as paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from balpoe.atomic_write import create_directory, ensure_writable
from balpoe.study.trials.record import TrialIdentity

_REPEAT = "repeat_"


@dataclass(frozen=True, slots=True)
class TrialDirectory:
    """The files of one repeat of one trial."""

    path: Path

    @property
    def metrics(self) -> Path:
        """The metrics of each epoch."""
        return self.path / "metrics.parquet"

    @property
    def predictions(self) -> Path:
        """The logits of each expert for the validation images, with the labels."""
        return self.path / "predictions.parquet"

    @property
    def summary(self) -> Path:
        """The summary of the validation predictions, which figures and reports show."""
        return self.path / "summary.json"

    @property
    def result(self) -> Path:
        """The result; it exists once the repeat is complete."""
        return self.path / "result.json"

    @property
    def failure(self) -> Path:
        """The traceback of a failed repeat."""
        return self.path / "failure.txt"

    @property
    def state(self) -> Path:
        """The state of a repeat with a further seed; that of the first is in Optuna's storage."""
        return self.path / "state.json"

    @property
    def attempt(self) -> Path:
        """The number of the newest attempt, which alone writes here."""
        return self.path / "attempt"

    @property
    def attempts(self) -> Path:
        """Where and when each attempt began."""
        return self.path / "attempts.json"

    @property
    def checkpoints(self) -> Path:
        """The directory of the checkpoints."""
        return self.path / "checkpoints"

    def create(self) -> None:
        """Create the directory.

        Raises:
            StorageError: the directory cannot be created.
        """
        create_directory(self.path)


@dataclass(frozen=True, slots=True)
class StudyDirectory:
    """The directory of one study, an absolute path."""

    path: Path

    @classmethod
    def of(cls, runs: Path, study: str) -> StudyDirectory:
        """Return the directory of `study` in `runs`."""
        return cls(runs.resolve() / study)

    @property
    def specification(self) -> Path:
        """The study file of the last launch."""
        return self.path / "study.yaml"

    @property
    def launches(self) -> Path:
        """The log of the launches."""
        return self.path / "launches"

    @property
    def lease(self) -> Path:
        """The lock file that the driver of the study holds."""
        return self.path / "lease"

    @property
    def tracking_uri(self) -> Path:
        """The address of the MLflow store that mirrors the study."""
        return self.path / "tracking_uri"

    @property
    def storage(self) -> Path:
        """The record of the database that has the trials, unless it is in this directory."""
        return self.path / "storage.json"

    @property
    def validation_split(self) -> Path:
        """Whether the validation split is balanced; only of a study that an earlier version began.

        `balpoe.study.trials.earlier_records` reads and writes it.
        """
        return self.path / "validation_split.json"

    @property
    def exports(self) -> Path:
        """The directory of exported configurations."""
        return self.path / "exports"

    @property
    def database(self) -> Path:
        """Optuna's storage."""
        return self.path / "optuna.db"

    @property
    def database_lock(self) -> Path:
        """The lock file that a process holds while it creates the storage."""
        return self.path / "optuna.db.lock"

    @property
    def memory(self) -> Path:
        """The GPU memory that trials used, if trials share GPUs."""
        return self.path / "memory.json"

    @property
    def running_epochs(self) -> Path:
        """The newest epoch of every running trial, while a driver runs the study."""
        return self.path / "running_epochs.json"

    @property
    def requests(self) -> Path:
        """The directory of requests to the driver."""
        return self.path / "requests"

    @property
    def tune(self) -> Path:
        """Tune's own files, which are deleted after a launch."""
        return self.path / "tune"

    def trial(self, identity: TrialIdentity) -> TrialDirectory:
        """Return the directory of one repeat of one trial."""
        return TrialDirectory(self._repeats(identity.number) / f"{_REPEAT}{identity.repeat}")

    def repeats(self, number: int) -> tuple[int, ...]:
        """Return the repeats of a trial that have a directory, in order; 0 is the search's own."""
        names = (
            path.name.removeprefix(_REPEAT) for path in self._repeats(number).glob(f"{_REPEAT}*")
        )
        return tuple(sorted(int(name) for name in names if name.isdecimal()))

    def _repeats(self, number: int) -> Path:
        return self.path / "trials" / str(number)

    def create(self) -> None:
        """Create the directory and check that it can be written.

        Raises:
            StorageError: the directory cannot be created or written.
        """
        ensure_writable(self.path)
