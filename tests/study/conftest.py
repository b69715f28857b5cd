from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from balpoe.config import (
    BudgetConfig,
    CategoricalParameter,
    Configuration,
    FloatParameter,
    IntParameter,
    ModelConfig,
    ResourcesConfig,
    StudySpec,
    TrainingConfig,
)
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.study.storage.postgres_storage import PostgresStorage
from balpoe.study.storage.storage_record import record_storage
from balpoe.study.trials.directory import StudyDirectory

MakeSpec = Callable[..., StudySpec]


@pytest.fixture(scope="session")
def make_spec() -> MakeSpec:
    """A study of the scanned digits with three epochs a trial, one trial at a time or more."""

    def make(*, trials: int = 4, concurrent: int = 2, seed: int = 0, **fields: object) -> StudySpec:
        base = Configuration(
            data=DigitsLT(),
            model=ModelConfig(backbone="resnet8"),
            training=TrainingConfig(epochs=3),
        )
        given = {
            "base": base,
            "search": {
                "experts.spread": FloatParameter(low=0.0, high=2.0),
                "experts.sharing": CategoricalParameter(choices=("shared", "independent")),
                "experts.count": IntParameter(low=1, high=3),
            },
            "objectives": {"val/accuracy": "maximize", "val/ece": "minimize"},
            "known_points": {},
            "budget": BudgetConfig(trials=trials),
            **fields,
        }
        return StudySpec(
            name="digits",
            resources=ResourcesConfig(concurrent_trials=concurrent),
            seed=seed,
            **given,  # type: ignore[arg-type]  # a test may give any field
        )

    return make


@pytest.fixture
def directory(tmp_path: Path) -> StudyDirectory:
    directory = StudyDirectory.of(tmp_path, "digits")
    directory.create()
    return directory


@pytest.fixture(params=["sqlite", "postgresql"])
def any_directory(tmp_path: Path, request: pytest.FixtureRequest) -> StudyDirectory:
    """A study's directory whose trials are in the one storage or the other."""
    directory = StudyDirectory.of(tmp_path, "digits")
    directory.create()
    if request.param == "postgresql":
        record_storage(directory, PostgresStorage(request.getfixturevalue("postgres_url")))
    return directory


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """Ray on this machine, started once for the tests of a module."""
    from balpoe.study.execution.ray_session import connected_ray

    with connected_ray():
        yield
