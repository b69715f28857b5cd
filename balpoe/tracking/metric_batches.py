"""Metrics of epochs in requests to MLflow that leave no part of an epoch behind.

A store executes a request of at most 1,000 metrics as a whole or not at all, and MLflow's client
splits a larger one anywhere. Requests end where an epoch ends. An epoch of more metrics takes
several requests, whose first metrics show which of them the store has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from balpoe.tracking.run_data import epoch_metrics
from balpoe.training.epoch import EpochResult

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

_MOST_METRICS = 1000  # of a request


def write_epochs(client: MlflowClient, run_id: str, history: Sequence[EpochResult]) -> None:
    """Write epochs that the run lacks."""
    epochs = (tuple(epoch_metrics([result])) for result in history)
    for request in _requests(epochs):
        client.log_batch(run_id, metrics=request)


def complete_epoch(client: MlflowClient, run_id: str, result: EpochResult) -> None:
    """Write the rest of the newest epoch of the run, of which the run has the marker."""
    _, *others = _parts(tuple(epoch_metrics([result])))
    for part in others:
        history = client.get_metric_history(run_id, part[0].key)
        if not any(point.step == result.epoch for point in history):
            client.log_batch(run_id, metrics=part)


def write_curves(
    client: MlflowClient, run_id: str, history: Sequence[EpochResult], keys: Collection[str]
) -> None:
    """Write the metrics `keys`, which the run lacks altogether, each with all of `history`."""
    curves: defaultdict[str, list[Metric]] = defaultdict(list)
    for metric in epoch_metrics(history):
        if metric.key in keys:
            curves[metric.key].append(metric)
    for request in _requests(map(tuple, curves.values())):
        client.log_batch(run_id, metrics=request)


def _requests(groups: Iterator[tuple[Metric, ...]]) -> Iterator[list[Metric]]:
    """Yield groups in requests: whole ones together where they fit, else parts of a group."""
    request: list[Metric] = []
    for part in (part for group in groups for part in _parts(group)):
        if request and len(request) + len(part) > _MOST_METRICS:
            yield request
            request = []
        request = [*request, *part]
    if request:
        yield request


def _parts(group: tuple[Metric, ...]) -> list[list[Metric]]:
    starts = range(0, len(group), _MOST_METRICS)
    return [list(group[start : start + _MOST_METRICS]) for start in starts]
