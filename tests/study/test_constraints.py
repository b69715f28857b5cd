"""Constraints from a trial's files through Optuna's storage to its samplers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from balpoe.config import SAMPLERS, Constraint, FloatParameter, StudySpec
from balpoe.config.constraints import excesses
from balpoe.errors import NonFiniteError
from balpoe.study.execution.trial_actor import COMPLETE
from balpoe.study.records.ledger import Ledger
from balpoe.study.records.study_trials import StudyTrials
from balpoe.study.selection.front import pareto_front
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import StudyEvent, TrialEnded
from balpoe.study.trials.metrics_file import write_metrics
from balpoe.study.trials.record import TrialIdentity
from balpoe.training.epoch import EpochResult
from tests.study.searchers import searcher_of

MakeSpec = Callable[..., StudySpec]
FEW = "val/accuracy_few"
GOOD = {"val/accuracy": 0.5, "val/ece": 0.1}


@pytest.fixture
def spec(make_spec: MakeSpec) -> StudySpec:
    return make_spec(constraints={FEW: Constraint(at_least=0.2)})


@pytest.fixture
def trials(spec: StudySpec, directory: StudyDirectory) -> StudyTrials:
    return StudyTrials(spec, directory)


def write_curve(directory: StudyDirectory, identity: TrialIdentity, *few: float) -> None:
    """A curve with these values of the constrained metric; one with none lacks it."""
    files = directory.trial(identity)
    files.create()
    history = [EpochResult(e, 0.0, {**GOOD, FEW: v}) for e, v in enumerate(few, start=1)]
    write_metrics(files.metrics, history or [EpochResult(1, 0.0, GOOD)])


def test_the_last_epoch_decides_and_optuna_knows_it(
    spec: StudySpec, trials: StudyTrials, directory: StudyDirectory
) -> None:
    kept, broken = trials.ask().identity, trials.ask().identity
    write_curve(directory, kept, 0.1, 0.2)
    write_curve(directory, broken, 0.9, 0.1)
    assert trials.complete(kept, GOOD) == {}
    assert trials.complete(broken, GOOD) == {f"{FEW} >= 0.2": 0.5}
    entries = Ledger(spec, directory).records()
    assert [entry.state for entry in entries] == ["COMPLETE", "COMPLETE"]
    assert [entry.violations for entry in entries] == [{}, {f"{FEW} >= 0.2": 0.5}]
    assert pareto_front(entries, spec.objectives) == (entries[0],)
    study = optuna.load_study(study_name="digits", storage=f"sqlite:///{directory.database}")
    assert [trial.number for trial in study.best_trials] == [kept.number]


@pytest.mark.parametrize("few", [(), (0.9, math.nan)])
def test_a_constrained_metric_that_is_missing_or_not_finite_fails_the_trial(
    spec: StudySpec, directory: StudyDirectory, few: tuple[float, ...]
) -> None:
    events: list[StudyEvent] = []
    searcher = searcher_of(spec, directory, events.append)
    searcher.suggest("a")
    write_curve(directory, TrialIdentity("digits", 0), *few)
    searcher.on_trial_complete("a", {COMPLETE: True, **GOOD})
    assert searcher.fault is None
    [entry] = Ledger(spec, directory).records()
    assert entry.state == "FAIL"
    assert entry.failure is not None
    assert FEW in entry.failure
    assert isinstance(events[-1], TrialEnded)
    assert events[-1].failure == entry.failure


def test_a_trial_whose_driver_died_between_constraints_and_end_is_entered_again(
    trials: StudyTrials, directory: StudyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = trials.ask().identity
    write_curve(directory, identity)
    with pytest.raises(NonFiniteError, match=f"{FEW} is missing"):
        trials.complete(identity, GOOD)
    write_curve(directory, identity, 0.1)
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "complete", lambda *_: None)
        trials.complete(identity, GOOD)
    assert trials.complete(identity, GOOD) == {f"{FEW} >= 0.2": 0.5}
    assert trials.complete(identity, GOOD) == {f"{FEW} >= 0.2": 0.5}


@pytest.mark.parametrize("name", ["tpe", "gp"])
@pytest.mark.slow
def test_samplers_learn_where_a_constraint_is_kept(
    make_spec: MakeSpec, tmp_path: Path, name: str
) -> None:
    """The objective draws to α = 1, the constraint is kept up to α = 0.4."""

    def late_proposals(constraints: dict[str, Constraint]) -> float:
        spec = make_spec(
            search={"mixup.alpha": FloatParameter(low=0.0, high=1.0)},
            objectives={"val/accuracy": "maximize"},
            sampler=SAMPLERS[name](),
            constraints=constraints,
        )
        directory = StudyDirectory.of(tmp_path / str(len(constraints)), spec.name)
        directory.create()
        ledger = Ledger(spec, directory)
        ledger.begin_launch()
        proposed = []
        for _ in range(25):
            proposal = ledger.ask()
            alpha = float(proposal.parameters["mixup.alpha"])
            proposed.append(alpha)
            ledger.constrain(proposal.identity, excesses(constraints, {"val/ece": alpha}))
            ledger.complete(proposal.identity, {"val/accuracy": alpha})
        return statistics.fmean(proposed[-10:])

    free = late_proposals({})
    assert late_proposals({"val/ece": Constraint(at_most=0.4)}) < free - 0.2
