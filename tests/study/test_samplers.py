"""Samplers as a study has them, on a storage in memory."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import optuna
import pytest

from balpoe.config import SAMPLERS, FloatParameter, StudySpec
from balpoe.study.search.launch_sampler import launch_sampler
from balpoe.study.search.samplers.nsgaii import POPULATION

MakeSpec = Callable[..., StudySpec]
BOUND = 0.3
LATE = 2 * POPULATION


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def late_feasible(spec: StudySpec, trials: int) -> float:
    """The part of the last proposals that keep ``z <= 0.3``, of which the objectives say nothing.

    They are x and y - x, so that there is a whole front to look for.
    """
    study = optuna.create_study(directions=["maximize"] * 2, sampler=launch_sampler(spec, 0))
    feasible = []
    for _ in range(trials):
        trial = study.ask()
        x, y, z = (trial.suggest_float(name, 0.0, 1.0) for name in "xyz")
        trial.set_constraint("z", z - BOUND)
        study.tell(trial, [x, y - x])
        feasible.append(z <= BOUND)
    return statistics.fmean(feasible[-LATE:])


@pytest.mark.parametrize(("name", "trials"), [("tpe", 120), ("nsgaii", 10 * POPULATION)])
def test_samplers_propose_where_a_constraint_is_kept_and_random_does_not(
    make_spec: MakeSpec, name: str, trials: int
) -> None:
    def parts(sampler: str) -> list[float]:
        config = SAMPLERS[sampler]()
        search = {"mixup.alpha": FloatParameter(low=0.0, high=1.0)}
        return [
            late_feasible(make_spec(seed=seed, sampler=config, search=search), trials)
            for seed in range(3)
        ]

    assert statistics.fmean(parts("random")) < 0.45
    assert min(parts(name)) > 0.6, "most are, with every seed"
