from __future__ import annotations

import random
from dataclasses import replace

import pytest

from balpoe.config import (
    BudgetConfig,
    CategoricalParameter,
    Configuration,
    Direction,
    FloatParameter,
    IntParameter,
    StudySpec,
)
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.study.search.importance import FEWEST_TRIALS, importances
from balpoe.study.trials.record import TrialIdentity, TrialRecord

OBJECTIVES: dict[str, Direction] = {"val/accuracy": "maximize", "val/ece": "minimize"}
SPEC = StudySpec(
    name="digits",
    base=Configuration(data=DigitsLT()),
    search={
        "experts.count": IntParameter(low=1, high=7),
        "experts.spread": FloatParameter(low=0.0, high=2.0),
        "experts.sharing": CategoricalParameter(choices=("shared", "independent")),
    },
    objectives=OBJECTIVES,
    budget=BudgetConfig(trials=40),
)


def _trials(count: int = 40) -> list[TrialRecord]:
    """Return trials whose accuracy depends on the number of experts, and ECE on the spread."""
    drawn = random.Random(0)
    trials = []
    for number in range(count):
        experts, spread = drawn.randint(1, 7), drawn.uniform(0, 2)
        sharing = drawn.choice(("shared", "independent"))
        trials.append(
            TrialRecord(
                identity=TrialIdentity("digits", number),
                parameters={
                    "experts.count": experts,
                    "experts.spread": spread,
                    "experts.sharing": sharing,
                },
                state="COMPLETE",
                history=(),
                objectives={"val/accuracy": experts / 10, "val/ece": spread / 10},
                failure=None,
                data_fingerprint=None,
                started=0.0,
                ended=1.0,
            )
        )
    return trials


def test_the_parameter_that_decides_an_objective_has_nearly_all_of_its_variance() -> None:
    accuracy, ece = importances(SPEC, _trials())
    assert (accuracy.objective, accuracy.trials) == ("val/accuracy", 40)
    assert next(iter(accuracy.shares)) == "experts.count"
    assert accuracy.shares["experts.count"] > 0.9
    assert next(iter(ece.shares)) == "experts.spread"
    assert ece.shares["experts.spread"] > 0.9
    assert sum(ece.shares.values()) == pytest.approx(1)


def test_the_result_is_the_same_every_time_and_changes_with_a_record() -> None:
    trials = _trials(12)
    first = importances(SPEC, trials)
    assert importances(SPEC, trials) == first
    changed = replace(trials[3], objectives={"val/accuracy": 0.0, "val/ece": 0.9})
    other = importances(SPEC, [*trials[:3], changed, *trials[4:]])
    assert other[0].shares != first[0].shares
    assert other[1].shares != first[1].shares


def test_only_complete_trials_within_the_search_space_count() -> None:
    trials = _trials(12)
    failed = replace(trials[0], state="FAIL", objectives=None)
    repeat = replace(trials[1], identity=replace(trials[1].identity, repeat=1))
    outside = replace(trials[2], parameters={**trials[2].parameters, "experts.spread": 9.0})
    found = importances(SPEC, [failed, repeat, outside, *trials[3:]])
    assert [each.trials for each in found] == [9, 9]


def test_parameters_that_some_trials_lack_are_left_out() -> None:
    trials = _trials(12)
    lacking = {k: v for k, v in trials[0].parameters.items() if k != "experts.sharing"}
    accuracy, _ = importances(SPEC, [replace(trials[0], parameters=lacking), *trials[1:]])
    assert accuracy.shares.keys() == {"experts.count", "experts.spread"}
    assert accuracy.trials == 12


def test_it_says_why_there_is_none() -> None:
    few = importances(SPEC, _trials(FEWEST_TRIALS - 1))
    assert {each.reason for each in few} == {"needs 8 COMPLETE trials, there are 7"}
    assert all(not each.shares for each in few)
    alike = [replace(t, objectives={"val/accuracy": 0.5, "val/ece": 0.1}) for t in _trials(9)]
    assert importances(SPEC, alike)[0].reason == "all trials have the same value"
    bare = [replace(t, parameters={}) for t in _trials(9)]
    assert importances(SPEC, bare)[0].reason == "no parameter is in all trials and varies"
    assert importances(SPEC, [])[0].trials == 0
