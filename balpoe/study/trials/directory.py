"""Where a study keeps what: pure paths, and the creation of its directory."""

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
        """The metrics of every epoch."""
        return self.path / "metrics.parquet"

    @property
    def predictions(self) -> Path:
        """The logits of every expert for the validation images, with their labels."""
        return self.path / "predictions.parquet"

    @property
    def result(self) -> Path:
        """What came of it; there once the repeat is complete."""
        return self.path / "result.json"

    @property
    def failure(self) -> Path:
        """The traceback of what ended the repeat, where it failed."""
        return self.path / "failure.txt"

    @property
    def state(self) -> Path:
        """How a repeat with a further seed stands; the first seed's is in Optuna's storage."""
        return self.path / "state.json"

    @property
    def attempt(self) -> Path:
        """Which attempt may write here."""
        return self.path / "attempt"

    @property
    def checkpoints(self) -> Path:
        """The directory of the checkpoints."""
        return self.path / "checkpoints"

    def create(self) -> None:
        """Create the directory.

        Raises:
            StorageError: it cannot be created.
        """
        create_directory(self.path)


@dataclass(frozen=True, slots=True)
class StudyDirectory:
    """The directory of one study, an absolute path."""

    path: Path

    @classmethod
    def of(cls, runs: Path, study: str) -> StudyDirectory:
        """The directory of `study` under `runs`."""
        return cls(runs.resolve() / study)

    @property
    def specification(self) -> Path:
        """The study as it was last launched."""
        return self.path / "study.yaml"

    @property
    def launches(self) -> Path:
        """What every launch began with."""
        return self.path / "launches"

    @property
    def lease(self) -> Path:
        """Held by the driver that runs the study."""
        return self.path / "lease"

    @property
    def tracking_uri(self) -> Path:
        """Which MLflow store mirrors the study."""
        return self.path / "tracking_uri"

    @property
    def storage(self) -> Path:
        """Which database has the trials; there where it is not the one in this directory."""
        return self.path / "storage.json"

    @property
    def exports(self) -> Path:
        """The exported configurations."""
        return self.path / "exports"

    @property
    def database(self) -> Path:
        """Optuna's storage."""
        return self.path / "optuna.db"

    @property
    def database_lock(self) -> Path:
        """Held by the process that creates the storage."""
        return self.path / "optuna.db.lock"

    @property
    def memory(self) -> Path:
        """How much GPU memory trials took; there where they share GPUs."""
        return self.path / "memory.json"

    @property
    def tune(self) -> Path:
        """What Tune writes for itself; nothing that is needed after a launch."""
        return self.path / "tune"

    def trial(self, identity: TrialIdentity) -> TrialDirectory:
        """The directory of one repeat of one trial."""
        return TrialDirectory(self._repeats(identity.number) / f"{_REPEAT}{identity.repeat}")

    def repeats(self, number: int) -> tuple[int, ...]:
        """The repeats of a trial that have a directory, in order; 0 is the trial's own."""
        names = (
            path.name.removeprefix(_REPEAT) for path in self._repeats(number).glob(f"{_REPEAT}*")
        )
        return tuple(sorted(int(name) for name in names if name.isdecimal()))

    def _repeats(self, number: int) -> Path:
        return self.path / "trials" / str(number)

    def create(self) -> None:
        """Create the directory and make sure that it can be written.

        Raises:
            StorageError: it cannot be created or written.
        """
        ensure_writable(self.path)
