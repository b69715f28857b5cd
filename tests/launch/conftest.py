"""A tiny study with trained trials, made without Ray: its ledger and its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from balpoe.atomic_write import write_text_atomically
from balpoe.config import StudySpec
from balpoe.files import dump_study, load_study
from balpoe.study.execution.trial import TrialTask, run_trial
from balpoe.study.records.ledger import Ledger
from balpoe.study.records.repeat_states import RepeatStates
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.failures import failure_of
from balpoe.study.trials.record import TrialIdentity, TrialToRun

EPOCHS = 2
STUDY = f"""
name: tiny
question: Do three experts help?
data: {{name: digits_lt}}
model: {{backbone: resnet8}}
training: {{epochs: {EPOCHS}, batch_size: 64}}
search:
  experts.count: {{type: int, low: 1, high: 3}}
  experts.sharing: {{type: categorical, choices: [shared, independent]}}
objectives: {{val/accuracy: maximize, val/ece: minimize}}
budget: {{trials: 4}}
"""


class TinyStudy:
    """A study under `runs` whose trials are trained one by one."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        runs.mkdir(parents=True)
        file = runs.parent / "tiny.yaml"
        file.write_text(STUDY)
        self.file = file
        self.spec: StudySpec = load_study(file)
        self.directory = StudyDirectory.of(runs, self.spec.name)
        self.directory.create()
        write_text_atomically(self.directory.specification, dump_study(self.spec))
        self.ledger = Ledger(self.spec, self.directory)
        self.ledger.begin_launch()

    def complete(self, count: int = 1) -> None:
        """Propose trials and train each to its end."""
        for _ in range(count):
            proposal = self.ledger.ask()
            self.ledger.complete(proposal.identity, self._train(proposal))

    def leave_running(self, epochs: int) -> None:
        """Propose a trial and stop it after so many epochs."""
        course = run_trial(self._task(self.ledger.ask()))
        for _ in range(epochs):
            next(course)
        course.close()

    def fail(self, reason: str) -> None:
        """Propose a trial that fails."""
        self.ledger.fail(self.ledger.ask().identity, failure_of(RuntimeError(reason)))

    def repeat(self, number: int, repeats: Sequence[int]) -> None:
        """Train a trial with further seeds."""
        parameters = self.ledger.records()[number].parameters
        for repeat in repeats:
            identity = TrialIdentity(self.spec.name, number, repeat)
            RepeatStates(self.spec, self.directory).resume(identity, parameters)
            self._train(TrialToRun(identity, parameters))

    def _train(self, trial: TrialToRun) -> dict[str, float]:
        course = run_trial(self._task(trial))
        while True:
            try:
                next(course)
            except StopIteration as end:
                return dict(end.value)

    def _task(self, trial: TrialToRun) -> TrialTask:
        files = self.directory.trial(trial.identity)
        return TrialTask(self.spec, trial.identity, trial.parameters, files)


@pytest.fixture(scope="module")
def tiny_study(tmp_path_factory: pytest.TempPathFactory) -> TinyStudy:
    """Two trials COMPLETE, one failed, one RUNNING after its first epoch."""
    study = TinyStudy(tmp_path_factory.mktemp("tiny") / "runs")
    study.complete(2)
    study.fail("out of luck")
    study.leave_running(1)
    return study
