"""The table of metrics: their names, and how they are shown.

Each metric is a function in a module of `balpoe.evaluation.metrics`, or in a module that an
installed package names by an entry point of the group `balpoe.metrics`. These modules are imported
whenever a study file is read, so they must not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from balpoe.config.entry_tables import import_entries
from balpoe.config.shifts import KNOWN_PRIOR, SHIFTS

Compute = TypeVar("Compute", bound=Callable[..., Any])

_METRICS: dict[str, Metric] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric, computed for each expert and for their product.

    `compute` takes `balpoe.evaluation.predictions.Predictions` of M scorers. It returns their
    values, float64 [M], or None where the split does not define the metric.

    `label` is the name on screen, `short_label` the one in tables with many columns. A fraction is
    shown in percent. Metrics `on_shifts` are also computed for the ensemble on every shifted
    distribution. `position` orders files and tables; equal positions are ordered by name.
    """

    name: str
    label: str
    short_label: str
    is_fraction: bool
    on_shifts: bool
    position: int
    compute: Callable[..., Any]


def metric(
    name: str,
    *,
    label: str,
    short_label: str | None = None,
    is_fraction: bool = False,
    on_shifts: bool = False,
    position: int = 1000,
) -> Callable[[Compute], Compute]:
    """Register the decorated function as the metric `name`; see `Metric`.

    Raises:
        ValueError: another metric has this name.
    """

    def register(compute: Compute) -> Compute:
        if name in _METRICS:
            raise ValueError(f"balpoe.metrics: two entries are called {name}")
        _METRICS[name] = Metric(
            name=name,
            label=label,
            short_label=short_label or label,
            is_fraction=is_fraction,
            on_shifts=on_shifts,
            position=position,
            compute=compute,
        )
        return compute

    return register


def metric_table() -> Mapping[str, Metric]:
    """All metrics by name, in the order of files and tables."""
    import_entries("balpoe.evaluation.metrics", group="balpoe.metrics")
    ordered = sorted(_METRICS.values(), key=lambda metric: (metric.position, metric.name))
    return {metric.name: metric for metric in ordered}


def shift_metrics() -> tuple[str, ...]:
    """The metrics that are computed for the ensemble on every shifted distribution."""
    return tuple(name for name, metric in metric_table().items() if metric.on_shifts)


def validation_metrics() -> tuple[str, ...]:
    """The metrics of the ensemble on the validation split: `val/accuracy` and so on."""
    return tuple(f"val/{name}" for name in metric_table())


def shifted_metrics() -> tuple[str, ...]:
    """The metrics of the ensemble on the validation split with shifted class weights."""
    return tuple(
        f"val/{shift.name}{known}/{name}"
        for shift in SHIFTS
        for known in ("", KNOWN_PRIOR)
        for name in shift_metrics()
    )


def objective_names() -> tuple[str, ...]:
    """The metrics that a study may optimise: all of the validation split, none of the test set."""
    return validation_metrics() + shifted_metrics()
