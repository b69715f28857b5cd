"""What a trial's run has beside its metrics: all its parameters, its data and its configuration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from balpoe.config import Configuration, StudySpec, to_plain, with_parameters
from balpoe.config.plain_data import leaves
from balpoe.errors import InvalidFields
from balpoe.study.trials.record import TrialRecord

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

FIXED = "fixed/"
CONFIGURATION = "configuration.yaml"
_LONGEST_VALUE = 6000  # of a parameter in MLflow
_LONGEST_DIGEST = 36


def trial_configuration(spec: StudySpec, record: TrialRecord) -> Configuration | None:
    """Return the configuration of a trial; None if this version refuses its parameters."""
    try:
        return with_parameters(spec.base, record.parameters)
    except InvalidFields:
        return None


def run_parameters(spec: StudySpec, record: TrialRecord) -> dict[str, str]:
    """Return the sampled parameters of a trial, and the fixed ones as `fixed/<path>`.

    A field that the study searches is fixed only in a trial that has ended without it: a driver
    that is killed while a trial is sampled leaves the trial with a part of its parameters.
    """
    configuration = trial_configuration(spec, record)
    fields = {} if configuration is None else flat_parameters(to_plain(configuration))
    pending = spec.search if record.state == "RUNNING" else {}
    fixed = {
        f"{FIXED}{path}": value
        for path, value in fields.items()
        if path not in record.parameters and path not in pending
    }
    return fixed | {name: str(value) for name, value in record.parameters.items()}


def flat_parameters(configuration: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of a plain configuration by dotted path; costs by their digest."""
    plain = dict(configuration)
    cost = plain.pop("cost", None)  # a matrix exceeds the length of MLflow's parameters
    values = {path: str(value)[:_LONGEST_VALUE] for path, value in leaves(plain)}
    if cost is not None:
        values["cost_sha256"] = hashlib.sha256(json.dumps(cost).encode()).hexdigest()
    return values


def dataset_input(
    spec: StudySpec, fingerprint: str, class_counts: Mapping[str, int] | None
) -> DatasetInput:
    """Return the data set of a trial: its fingerprint as digest, its class counts in the profile.

    Args:
        spec: The study.
        fingerprint: The fingerprint of the data, such as `sha256:…`.
        class_counts: The training images of each class; None if unknown.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = to_plain(spec.base)["data"]
    profile = {"fingerprint": fingerprint}
    counts = {} if class_counts is None else {"class_counts": dict(class_counts)}
    dataset = Dataset(
        name=str(data.get("name", spec.name)),
        digest=fingerprint.rpartition(":")[2][:_LONGEST_DIGEST],
        source_type="balpoe",
        source=json.dumps(data, ensure_ascii=False),
        profile=json.dumps(profile | counts, ensure_ascii=False),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
