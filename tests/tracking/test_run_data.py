from __future__ import annotations

from mlflow.entities import LifecycleStage
from mlflow.utils import mlflow_tags

from balpoe.tracking import run_data


def test_the_tags_are_those_that_mlflow_shows() -> None:
    assert mlflow_tags.MLFLOW_USER == run_data.USER
    assert mlflow_tags.MLFLOW_GIT_COMMIT == run_data.GIT_COMMIT
    assert mlflow_tags.MLFLOW_PARENT_RUN_ID == run_data.PARENT_RUN
    assert mlflow_tags.MLFLOW_RUN_NOTE == run_data.NOTE
    assert LifecycleStage.DELETED == "deleted"
