from __future__ import annotations

import pytest
from mlflow.entities import LifecycleStage
from mlflow.utils import mlflow_tags
from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, _validate_metric_name

from balpoe.tracking import run_data


def test_the_tags_are_those_that_mlflow_shows() -> None:
    assert mlflow_tags.MLFLOW_USER == run_data.USER
    assert mlflow_tags.MLFLOW_GIT_COMMIT == run_data.GIT_COMMIT
    assert mlflow_tags.MLFLOW_PARENT_RUN_ID == run_data.PARENT_RUN
    assert mlflow_tags.MLFLOW_RUN_NOTE == run_data.NOTE
    assert LifecycleStage.DELETED == "deleted"


NAMES = (
    "heron",
    "ñandú",
    "кеа",
    "red/green",
    "..",
    "a/../b",
    "/",
    '100 % "sure" (#1)',
    "a:2f:b",
    "a/b",
    "x" * 300,
    "x" * 299 + "y",
)


@pytest.mark.parametrize("name", NAMES)
def test_mlflow_takes_the_recall_of_a_class_of_any_name(name: str) -> None:
    for metric in (f"val/class/{name}/recall", f"objective/val/class/{name}/recall"):
        key = run_data.metric_key(metric)
        _validate_metric_name(key)  # type: ignore[no-untyped-call]
        assert len(key) <= MAX_ENTITY_KEY_LENGTH


def test_different_classes_have_different_names_in_mlflow() -> None:
    keys = {run_data.metric_key(f"val/class/{name}/recall") for name in NAMES}
    assert len(keys) == len(NAMES)
    assert "val/class/ñandú/recall" in keys
    assert "val/class/red:2f:green/recall" in keys


def test_other_metrics_keep_their_names() -> None:
    for name in ("val/forward_10_known_prior/ece", "test/expert_0/accuracy", "train/loss"):
        assert run_data.metric_key(name) == name
