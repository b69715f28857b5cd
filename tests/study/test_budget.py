from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balpoe.config import BudgetConfig, ResourcesConfig, StudySpec
from balpoe.errors import InvalidFields
from balpoe.study.execution.executor import run_trials
from balpoe.study.execution.trial import Course, TrialTask
from balpoe.study.records.ledger import Ledger
from balpoe.study.search.spent_budget import Account, SpentBudget, budget_spent, spent_by_launches
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.record import TrialIdentity, TrialRecord, TrialState
from balpoe.training.epoch import EpochResult

MakeSpec = Callable[..., StudySpec]
CPU, HALF_GPU = ResourcesConfig(), ResourcesConfig(gpus_per_trial=0.5)


def record(
    state: TrialState, started: float, *epochs: float, ended: float | None = None, repeat: int = 0
) -> TrialRecord:
    return TrialRecord(
        identity=TrialIdentity("s", 0, repeat),
        parameters={},
        state=state,
        history=tuple(EpochResult(n + 1, moment, {}) for n, moment in enumerate(epochs)),
        objectives=None,
        failure=None,
        data_fingerprint=None,
        started=started,
        ended=ended,
    )


def test_a_budget_must_name_a_limit() -> None:
    with pytest.raises(InvalidFields, match="trials: must be given, or wall_hours, or device_hour"):
        BudgetConfig()
    with pytest.raises(InvalidFields, match="wall_hours: must be above 0"):
        BudgetConfig(wall_hours=0.0)


@given(
    trials=st.integers(0, 9), wall=st.floats(0, 9), device=st.floats(0, 9), limit=st.integers(1, 9)
)
def test_the_first_limit_that_is_reached_ends_the_study(
    trials: int, wall: float, device: float, limit: int
) -> None:
    spent = SpentBudget(trials, wall * 3600, device * 3600)
    budgets = (
        BudgetConfig(trials=limit),
        BudgetConfig(wall_hours=limit),
        BudgetConfig(device_hours=limit),
    )
    reached = [budget_spent(budget, spent) for budget in budgets]
    assert reached == [trials >= limit, wall >= limit, device >= limit]
    together = BudgetConfig(trials=limit, wall_hours=limit, device_hours=limit)
    assert budget_spent(together, spent) == any(reached)


def test_the_time_between_launches_is_nobodys() -> None:
    interrupted = record("COMPLETE", 10, 20, 30, 1010, 1020, ended=1021)
    other = record("FAIL", 12, ended=40)
    spent = spent_by_launches([interrupted, other], [5.0, 1000.0], CPU)
    assert spent == SpentBudget(2, (40 - 5) + (1021 - 1000), (30 - 10) + (1021 - 1010) + (40 - 12))


def test_a_launch_on_a_host_whose_clock_was_wrong_spends_its_own_time_alone() -> None:
    hour = 3600.0
    ahead = record("COMPLETE", 5 * hour + 10, 5 * hour + 40, ended=5 * hour + 50)
    right = record("COMPLETE", 210, 240, ended=260)
    spent = spent_by_launches([ahead, right], [5 * hour, 200.0], CPU)
    assert spent == SpentBudget(2, 50 + 60, 40 + 50)


def test_running_trials_and_repeats_spend_hours_but_are_no_finished_trials() -> None:
    records = [record("RUNNING", 10, 20), record("COMPLETE", 20, 30, ended=31, repeat=1)]
    assert spent_by_launches(records, [10.0], HALF_GPU) == SpentBudget(0, 21, (10 + 11) / 2)


def test_a_launch_that_did_nothing_spent_nothing() -> None:
    assert spent_by_launches([], [5.0, 9.0], CPU) == SpentBudget(0, 0, 0)


def test_an_account_counts_the_devices_of_running_trials_on_top_of_what_was_spent() -> None:
    clock = iter([100.0, 100.0, 102.0, 105.0, 110.0])
    account = Account(SpentBudget(3, 50, 7), HALF_GPU, now=lambda: next(clock))
    account.begin("a")
    account.begin("b")
    account.end("a")
    assert account.spent(4) == SpentBudget(4, 60, 7 + (5 + 8) / 2)


def _instant(task: TrialTask) -> Course:
    metrics = dict.fromkeys(task.spec.objectives, 0.5)
    yield EpochResult(1, 0.0, metrics)
    return metrics


@pytest.mark.usefixtures("local_ray")
def test_a_study_with_a_budget_in_hours_ends(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(budget=BudgetConfig(device_hours=1e-5))
    run_trials(spec, directory, lambda event: None, run=_instant)
    ledger = Ledger(spec, directory)
    assert ledger.finished() >= 1
    assert not ledger.running()
    spent = sum((entry.ended or 0) - entry.started for entry in ledger.records())
    assert spent >= 0.036
