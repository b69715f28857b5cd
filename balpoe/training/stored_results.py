"""The results of a trained model as its directory has them, read without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from balpoe.config.shifts import PriorKnowledge, metric_prefix
from balpoe.config.shown_biases import shown_lambdas
from balpoe.evaluation.class_results import ResultsByPrior, from_plain
from balpoe.evaluation.prediction_summary import PredictionSummary
from balpoe.json_record import as_record
from balpoe.training.model_files import (
    HINT,
    METRICS,
    MODEL,
    TEST_SUMMARY,
    checked_contents,
    read_manifest,
)
from balpoe.training.summary_file import read_summary

_TABULATED: Final[Sequence[PriorKnowledge]] = ("unknown", "known")


@dataclass(frozen=True, slots=True)
class StoredDistribution:
    """The metrics of a model on one test distribution, without or with its prior known."""

    distribution: str
    images: int
    effective_images: float
    known_prior: bool
    is_weighted: bool
    metrics: Mapping[str, float]

    @property
    def split(self) -> str:
        """The prefix of the metrics."""
        return metric_prefix(self.distribution, "known" if self.known_prior else "unknown")

    def scalars(self) -> Mapping[str, float]:
        """Return the metrics by name, empty if the distribution cannot be measured."""
        return self.metrics


@dataclass(frozen=True, eq=False, slots=True)
class StoredResults:
    """The results of one trained model.

    Attributes:
        path: The model directory.
        seed: The seed of the training.
        lambdas: The λ of each expert; None if its loss uses none, or one for each class.
        configuration: The whole configuration as plain data.
        class_names: The names of the classes.
        class_counts: The training images of each class.
        fingerprint: The fingerprint of the training images.
        test_fingerprint: That of the test images; None in models of earlier versions.
        balpoe_version: The version that trained the model.
        origin: The data on which temperatures were fitted, or why there are none.
        metrics: The metrics of the test set and its shifts, such as `test_forward_10/ece`.
        distributions: The test distributions with their metrics; empty in models of earlier
            versions, which did not store the numbers of images.
        classes: The results of each class; None in models of earlier versions.
        no_estimated_prior: Why metrics with an estimated prior are missing; None where they are all
            there, and in models of earlier versions, which stored none.
        epochs: The number of epochs.
        seconds: The sum of the times of the epochs.
        summary: The summary of the test predictions; None in models of earlier versions.
    """

    path: Path
    seed: int
    lambdas: tuple[float, ...] | None
    configuration: Mapping[str, Any]
    class_names: tuple[str, ...]
    class_counts: tuple[int, ...]
    fingerprint: str
    test_fingerprint: str | None
    balpoe_version: str
    origin: str | None
    metrics: Mapping[str, float]
    distributions: tuple[StoredDistribution, ...]
    classes: ResultsByPrior | None
    epochs: int
    seconds: float
    summary: PredictionSummary | None = None
    no_estimated_prior: str | None = None

    @property
    def shown_lambdas(self) -> tuple[str, ...]:
        """The λ of each expert as text."""
        return shown_lambdas(self.lambdas, self.configuration)

    @property
    def test_images(self) -> int | None:
        """The number of test images; None in models of earlier versions."""
        return None if self.classes is None else sum(self.classes.unknown.images_c)


def read_results(path: Path) -> StoredResults:
    """Read the results of the model directory `path`; the weights are not read.

    Raises:
        StorageError: there is no finished model at `path`.
        CorruptFile: a file is damaged, changed or missing, or of another format.
    """
    manifest = read_manifest(path)
    has_summary = TEST_SUMMARY in manifest.sha256
    names = (MODEL, METRICS, *((TEST_SUMMARY,) if has_summary else ()))
    contents = checked_contents(path, manifest, names)
    model = as_record(path / MODEL, json.loads(contents[MODEL]), _Model, HINT, other_fields=True)
    about = as_record(path / MODEL, model.description, _Description, HINT, other_fields=True)
    metrics = as_record(
        path / METRICS, json.loads(contents[METRICS]), _Metrics, HINT, other_fields=True
    )
    return StoredResults(
        path=path,
        seed=model.seed,
        lambdas=model.lambdas,
        configuration=model.configuration,
        class_names=about.class_names,
        class_counts=about.class_counts,
        fingerprint=about.fingerprint,
        test_fingerprint=model.test_fingerprint,
        balpoe_version=model.balpoe_version,
        origin=None if model.calibration is None else model.calibration["origin"],
        metrics=metrics.final,
        distributions=tuple(_distributions(metrics)),
        classes=None if metrics.per_class is None else from_plain(metrics.per_class),
        epochs=len(metrics.epochs),
        seconds=sum(epoch["metrics"].get("epoch_seconds", 0.0) for epoch in metrics.epochs),
        summary=read_summary(path / TEST_SUMMARY) if has_summary else None,
        no_estimated_prior=metrics.no_estimated_prior,
    )


@dataclass(frozen=True, slots=True)
class _Model:
    """The part of `model.json` that is shown."""

    configuration: Mapping[str, Any]
    seed: int
    lambdas: tuple[float, ...] | None
    description: Mapping[str, Any]
    balpoe_version: str
    calibration: Mapping[str, Any] | None = None
    test_fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class _Description:
    """The part of the description of the training images that is shown."""

    class_names: tuple[str, ...]
    class_counts: tuple[int, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class _Metrics:
    """The part of `metrics.json` that is shown."""

    epochs: Sequence[Mapping[str, Any]]
    final: Mapping[str, float]
    distributions: Mapping[str, Mapping[str, Any]] | None = None
    per_class: Mapping[str, Any] | None = None
    no_estimated_prior: str | None = None


def _distributions(metrics: _Metrics) -> list[StoredDistribution]:
    return [
        StoredDistribution(
            distribution=name,
            images=numbers["images"],
            effective_images=numbers["effective_images"],
            known_prior=prior == "known",
            is_weighted=numbers.get("weighted", numbers["images"] != numbers["effective_images"]),
            metrics=_beginning_with(metric_prefix(name, prior), metrics.final),
        )
        for name, numbers in (metrics.distributions or {}).items()
        for prior in _TABULATED
    ]


def _beginning_with(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name.startswith(f"{prefix}/")}
