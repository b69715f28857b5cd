"""The view of a study's trials in MLflow: the columns and the order of the table, and the charts.

MLflow 3.17 reads a view from the experiment tag `mlflow.sharedViewState.<key>`, where the page is
opened with `viewStateShareKey=<key>`. The names are those of its `ExperimentPageUIState`.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from typing import Any

from balpoe.config import StudySpec
from balpoe.tracking.run_data import metric_key
from balpoe.tracking.trial_ranks import FRONT, RANK, sd_metric

KEY = "trials"
TAG = f"mlflow.sharedViewState.{KEY}"
KIND_TAG, KIND = "mlflow.experimentKind", "custom_model_development"
TRIALS_FILTER = "tags.role = 'trial' and tags.repeat = '0'"
_METRICS = (
    "val/balanced_accuracy",
    "val/balanced_ece",
    "val/balanced_mce",
    "val/kl_to_target_prior",
)
_ACCURACY, _CALIBRATION_ERROR = "val/balanced_accuracy", "val/balanced_ece"
_LEADING_COLUMNS = ("1", "attributes.`Run Name`")  # "1" is the column of the boxes to select runs
_SECTION = "trials"
_COMPRESSED = "deflate;"


def experiment_tags(spec: StudySpec) -> dict[str, str]:
    """Return the tags of the experiment of a study: its kind, and the view of its trials."""
    state = json.dumps(_state(spec), ensure_ascii=False, separators=(",", ":")).encode()
    packed = base64.b64encode(zlib.compress(state, 9)).decode()
    return {KIND_TAG: KIND, TAG: f"{_COMPRESSED}{packed}"}


def view_state(value: str) -> dict[str, Any]:
    """Return the state of a view from the value of its tag."""
    packed = base64.b64decode(value.removeprefix(_COMPRESSED))
    state: dict[str, Any] = json.loads(zlib.decompress(packed))
    return state


def shown_metrics(spec: StudySpec) -> tuple[str, ...]:
    """Return the metrics of the table: the objectives, accuracy, ECE, MCE and KL."""
    return tuple(dict.fromkeys((*spec.objectives, *_METRICS)))


def _state(spec: StudySpec) -> dict[str, Any]:
    return {
        "searchFilter": TRIALS_FILTER,
        "orderByKey": f"tags.`{RANK}`",
        "orderByAsc": True,
        "selectedColumns": list(_columns(spec)),
        "columnOrder": [*_LEADING_COLUMNS, *_columns(spec)],
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": list(_charts(spec)),
        "compareRunSections": [
            {"uuid": _SECTION, "name": "Trials", "display": True, "isReordered": True}
        ],
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
    }


def _columns(spec: StudySpec) -> Iterator[str]:
    for tag in (FRONT, "known_point", "state"):
        yield f"tags.`{tag}`"
    for path in spec.search:
        yield f"params.`{path}`"
    for name in shown_metrics(spec):
        yield f"metrics.`{metric_key(name)}`"
        yield f"metrics.`{sd_metric(name)}`"


def _charts(spec: StudySpec) -> Iterator[dict[str, Any]]:
    common = {"metricSectionId": _SECTION, "deleted": False, "isGenerated": False}
    objectives = [metric_key(name) for name in spec.objectives]
    pairs = [(_ACCURACY, _CALIBRATION_ERROR)]
    pairs += [(objectives[0], other) for other in objectives[1:]]
    for x, y in dict.fromkeys(pairs):
        yield common | {
            "uuid": f"scatter {x} {y}",
            "type": "SCATTER",
            "runsCountToCompare": 100,
            "displayName": f"{y} against {x}",
            "xaxis": {"key": x, "type": "METRIC"},
            "yaxis": {"key": y, "type": "METRIC"},
        }
    yield common | {
        "uuid": "parallel coordinates",
        "type": "PARALLEL",
        "runsCountToCompare": 100,
        "displayName": "parameters and objectives",
        "selectedParams": list(spec.search),
        "selectedMetrics": objectives,
        "showAllRuns": True,
    }
