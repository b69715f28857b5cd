"""A study, an export and a model that an earlier version wrote."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from balpoe.config import StudySpec
from balpoe.study.execution.trial import TrialTask, run_trial
from balpoe.study.records.ledger import Ledger
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.record import TrialIdentity
from balpoe.training.model_files import MANIFEST, MODEL

FIXTURES = Path(__file__).parent.parent / "fixtures"
SUFFIXES = (".json", ".yaml")


class EarlierStudy:
    """A copy of a study in `tests/fixtures/<version>`, in a directory of its own."""

    def __init__(self, version: str, made_in: str, name: str, home: Path) -> None:
        self.name, self.home, self.runs = name, home / name, home / name / "runs"
        shutil.copytree(FIXTURES / version / name, self.home)
        self.runs.mkdir()
        (self.home / "study").rename(self.runs / name)
        for file in self.home.rglob("*"):
            if file.suffix in SUFFIXES:
                file.write_text(file.read_text().replace(f"{made_in}/{name}", str(self.home)))
        self.file = self.home / f"{name}.yaml"
        self.directory = StudyDirectory.of(self.runs, name)

    @property
    def model(self) -> Path:
        """The model, whose manifest vouches for the rewritten paths."""
        path = self.home / "model"
        manifest = json.loads((path / MANIFEST).read_text())
        manifest["sha256"][MODEL] = hashlib.sha256((path / MODEL).read_bytes()).hexdigest()
        (path / MANIFEST).write_text(json.dumps(manifest))
        return path

    def resume(self, spec: StudySpec) -> Mapping[str, float]:
        """Train the RUNNING trial, or a new one, to its end without Ray, and record it."""
        ledger = Ledger(spec, self.directory)
        [number] = ledger.running() or [ledger.ask().identity.number]
        trial = ledger.resume(TrialIdentity(self.name, number))
        files = self.directory.trial(trial.identity)
        course = run_trial(TrialTask(spec, trial.identity, trial.parameters, files))
        while True:
            try:
                next(course)
            except StopIteration as end:
                ledger.complete(trial.identity, end.value)
                return dict(end.value)
