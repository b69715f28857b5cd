"""The trials that the sole writer keeps in memory are those of the storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event

from balpoe.study.storage.sole_writer_storage import SoleWriterStorage

NAMES = (f"study {number}" for number in count())
ACTS = ("ask", "enqueue", "attribute", "system", "report", "complete", "prune", "fail")


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> RDBStorage:
    return RDBStorage(f"sqlite:///{tmp_path_factory.mktemp('storage') / 'optuna.db'}")


def study_in(storage: optuna.storages.BaseStorage) -> optuna.Study:
    return optuna.create_study(
        study_name=next(NAMES), storage=storage, sampler=RandomSampler(seed=0)
    )


def act(study: optuna.Study, name: str, which: int) -> None:
    """Do something that a ledger does, to one of the running trials where it needs one."""
    if name == "ask":
        study.ask().suggest_float("x", 0.0, 1.0)
    elif name == "enqueue":
        study.enqueue_trial({"x": 0.5}, user_attrs={"planned": which})
    elif running := study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        change(study, name, running[which % len(running)], which)


def change(study: optuna.Study, name: str, trial: FrozenTrial, value: int) -> None:
    storage, trial_id = study._storage, trial._trial_id
    if name == "attribute":
        storage.set_trial_user_attr(trial_id, "attempt", value)
    elif name == "system":
        storage.set_trial_system_attr(trial_id, "constraints", [value])
    elif name == "report":
        storage.set_trial_intermediate_value(trial_id, value, 0.1)
    elif name == "complete":
        study.tell(trial.number, float(value))
    elif name == "prune":
        study.tell(trial.number, state=TrialState.PRUNED)
    else:
        study.tell(trial.number, state=TrialState.FAIL)


@given(acts=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 5)), max_size=20))
@settings(deadline=None, max_examples=25)
def test_whatever_is_written_the_trials_in_memory_are_those_of_the_storage(
    backend: RDBStorage, acts: list[tuple[str, int]]
) -> None:
    study = study_in(SoleWriterStorage(backend))
    for name, which in acts:
        act(study, name, which)
        stored = backend.get_all_trials(study._study_id)
        assert study.get_trials(deepcopy=False) == stored
        assert [study._storage.get_trial(trial._trial_id) for trial in stored] == stored


def test_trials_from_before_are_read_and_those_that_nobody_changed_are_not_read_again(
    backend: RDBStorage,
) -> None:
    before = study_in(backend)
    for _ in range(3):
        before.ask()
    study = optuna.load_study(
        study_name=before.study_name, storage=SoleWriterStorage(backend), sampler=RandomSampler()
    )
    assert len(study.get_trials()) == 3
    with statements_of(backend) as statements:
        assert len(study.get_trials()) == 3
    assert statements == []
    last = study.get_trials()[-1]
    study._storage.set_trial_user_attr(last._trial_id, "attempt", 1)
    with statements_of(backend) as statements:
        assert [trial.user_attrs for trial in study.get_trials()] == [{}, {}, {"attempt": 1}]
    assert len([statement for statement in statements if "FROM trials" in statement]) == 1


def test_a_change_that_failed_and_was_made_all_the_same_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = RDBStorage(f"sqlite:///{tmp_path / 'optuna.db'}")
    study = study_in(SoleWriterStorage(backend))
    trial = study.ask()
    create, end = backend._create_new_trial, backend.set_trial_state_values

    def created_in_vain(*arguments: object) -> FrozenTrial:
        create(*arguments)  # type: ignore[arg-type]
        raise ConnectionError

    def ended_in_vain(*arguments: object, **named: object) -> bool:
        end(*arguments, **named)  # type: ignore[arg-type]
        raise ConnectionError

    monkeypatch.setattr(backend, "_create_new_trial", created_in_vain)
    monkeypatch.setattr(backend, "set_trial_state_values", ended_in_vain)
    with pytest.raises(ConnectionError):
        study.ask()
    with pytest.raises(ConnectionError):
        study.tell(trial, 0.5)
    assert [trial.state.name for trial in study.get_trials()] == ["COMPLETE", "RUNNING"]


@contextmanager
def statements_of(storage: RDBStorage) -> Iterator[list[str]]:
    """The SQL that the block has executed."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(storage.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(storage.engine, "before_cursor_execute", note)
