from __future__ import annotations

from dataclasses import replace

import numpy as np
import optuna
from hypothesis import given, settings
from hypothesis import strategies as st

from balpoe.config import Direction
from balpoe.config.constraints import violated
from balpoe.study.selection.front import front_ranks, ordered_front, pareto_front
from balpoe.study.trials.record import TrialIdentity, TrialRecord, TrialState
from balpoe.training.epoch import EpochResult

DIRECTIONS: dict[str, Direction] = {"val/accuracy": "maximize", "val/ece": "minimize"}


def _record(
    number: int, accuracy: float, ece: float, state: TrialState = "COMPLETE"
) -> TrialRecord:
    metrics = {"val/accuracy": accuracy, "val/ece": ece}
    balanced = {"val/balanced_accuracy": accuracy, "val/balanced_ece": ece}
    return TrialRecord(
        identity=TrialIdentity("digits", number),
        parameters={},
        state=state,
        history=(EpochResult(1, 0.0, metrics | balanced),),
        objectives=metrics if state == "COMPLETE" else None,
        failure=None,
        data_fingerprint=None,
        started=0.0,
        ended=1.0,
    )


def _numbers(records: tuple[TrialRecord, ...]) -> list[int]:
    return [record.identity.number for record in records]


values = st.sampled_from([0.0, 0.1, 0.2, 0.3])


@given(points=st.lists(st.tuples(values, values), max_size=8))
@settings(max_examples=50, deadline=None)
def test_the_front_is_optunas(points: list[tuple[float, float]]) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for point in points:
        study.add_trial(optuna.trial.create_trial(values=list(point)))
    records = [_record(number, *point) for number, point in enumerate(points)]
    expected = [trial.number for trial in study.best_trials]
    assert sorted(_numbers(pareto_front(records, DIRECTIONS))) == sorted(expected)


@given(points=st.lists(st.tuples(values, values, st.sampled_from([-0.5, 0.0, 0.5])), max_size=8))
@settings(max_examples=50, deadline=None)
def test_the_front_of_a_constrained_study_is_optunas(
    points: list[tuple[float, float, float]],
) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    records = []
    for number, (accuracy, ece, excess) in enumerate(points):
        constraints = {"parameters <= 1000": excess}
        trial = optuna.trial.create_trial(values=[accuracy, ece], constraints=constraints)
        study.add_trial(trial)
        records.append(replace(_record(number, accuracy, ece), violations=violated(constraints)))
    expected = [trial.number for trial in study.best_trials]
    assert sorted(_numbers(pareto_front(records, DIRECTIONS))) == sorted(expected)


def test_trials_that_are_not_complete_are_never_on_the_front() -> None:
    records = [_record(0, 0.9, 0.0, "FAIL"), _record(1, 0.9, 0.0, "RUNNING"), _record(2, 0.1, 0.5)]
    assert _numbers(pareto_front(records, DIRECTIONS)) == [2]


def test_the_front_is_ordered_by_accuracy_then_by_ece_then_by_number() -> None:
    directions: dict[str, Direction] = {"train/loss": "minimize"}
    records = [_record(0, 0.5, 0.2), _record(1, 0.7, 0.3), _record(2, 0.5, 0.1)]
    alike = [replace(record, objectives={"train/loss": 1.0}) for record in records]
    assert _numbers(ordered_front(alike, directions)) == [1, 2, 0]


def test_front_and_order_are_those_of_the_means_over_repeats() -> None:
    records = [_record(0, 0.6, 0.2), _record(1, 0.7, 0.1), _repeat(_record(1, 0.4, 0.1))]
    assert _numbers(ordered_front(records, DIRECTIONS)) == [0, 1]
    unlucky = _repeat(_record(1, 0.4, 0.4))
    assert _numbers(ordered_front([*records[:2], unlucky], DIRECTIONS)) == [0]


def _repeat(record: TrialRecord) -> TrialRecord:
    return replace(record, identity=replace(record.identity, repeat=1))


def test_ranks_are_those_of_fronts_that_are_peeled_off() -> None:
    points = [(0, 3), (1, 1), (3, 0), (1, 2), (2, 2), (1, 1), (4, 4)]
    assert front_ranks(np.array(points, float)).tolist() == [0, 0, 0, 1, 2, 0, 3]
    assert front_ranks(np.zeros((0, 2))).tolist() == []


def test_a_point_has_a_higher_rank_than_all_that_dominate_it() -> None:
    points = np.random.default_rng(0).integers(0, 6, (60, 3)).astype(float)
    ranks = front_ranks(points)
    for point, rank in zip(points, ranks, strict=True):
        better = (points <= point).all(axis=1) & (points < point).any(axis=1)
        assert rank == (ranks[better].max() + 1 if better.any() else 0)
