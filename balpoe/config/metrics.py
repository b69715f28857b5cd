"""The table of metrics: their names, and how they are shown.

Each metric is a function in a module of `balpoe.evaluation.metrics`, or in a module that an
installed package names by an entry point of the group `balpoe.metrics`. These modules are imported
whenever a study file is read, so they must not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from balpoe.config.entry_tables import import_entries
from balpoe.config.shifts import KNOWN_PRIOR, SHIFTS

RANGES = ("val/forward_2/accuracy and its like", "val/class/<name>/recall")
"""Metrics of the validation split whose names have parts, for messages."""

COST_METRICS = ("val/expected_cost", "val/balanced_expected_cost")
"""The metrics that only configurations with `cost` have."""

TOP_5_CLASSES = 100
"""The fewest classes for which `top_5_accuracy` is computed."""

Compute = TypeVar("Compute", bound=Callable[..., Any])

BALANCED: Final = "balanced_"
"""The prefix of a metric that weights classes, where the metric without it weights images."""

_CLASS, _RECALL = "class/", "/recall"
_METRICS: dict[str, Metric] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric, computed for each expert and for their product.

    `compute` takes `balpoe.evaluation.predictions.Predictions` of M scorers. It returns their
    values, float64 [M], or None where the split does not define the metric.

    `label` is the name on screen, `short_label` the one in tables with many columns. A fraction is
    shown in percent. Metrics `on_shifts` are also computed for the ensemble on every shifted
    distribution. Metrics that are not `on_validation` are computed in final evaluations only.
    `floor` is the metric that holds what a perfect classifier would show by chance. `position`
    orders files and tables; equal positions are ordered by name.
    """

    name: str
    label: str
    short_label: str
    is_fraction: bool
    on_shifts: bool
    on_validation: bool
    floor: str | None
    position: int
    compute: Callable[..., Any]


def metric(
    name: str,
    *,
    label: str,
    short_label: str | None = None,
    is_fraction: bool = False,
    on_shifts: bool = False,
    on_validation: bool = True,
    floor: str | None = None,
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
            on_validation=on_validation,
            floor=floor,
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


def counterpart(metric: str) -> str | None:
    """Return the metric over images of one over classes and the reverse, or None without a pair.

    `metric` is a metric of the validation split: `val/balanced_ece` is the counterpart of
    `val/ece`. Metrics on shifted distributions have none.
    """
    split, _, name = metric.rpartition("/")
    balanced = name.startswith(BALANCED)
    other = name.removeprefix(BALANCED) if balanced else f"{BALANCED}{name}"
    return f"{split}/{other}" if split == "val" and other in metric_table() else None


def shift_metrics() -> tuple[str, ...]:
    """The metrics that are computed for the ensemble on every shifted distribution."""
    return tuple(name for name, metric in metric_table().items() if metric.on_shifts)


def validation_metrics() -> tuple[str, ...]:
    """The metrics of the ensemble on the validation split: `val/accuracy` and so on."""
    return tuple(f"val/{name}" for name, metric in metric_table().items() if metric.on_validation)


def shifted_metrics() -> tuple[str, ...]:
    """The metrics of the ensemble on the validation split with shifted class weights."""
    return tuple(
        f"val/{shift.name}{known}/{name}"
        for shift in SHIFTS
        for known in ("", KNOWN_PRIOR)
        for name in shift_metrics()
    )


def class_recall(class_name: str) -> str:
    """The name of the recall of a class: `class/heron/recall`."""
    return f"{_CLASS}{class_name}{_RECALL}"


def class_of(metric: str) -> str | None:
    """The class of `val/class/<name>/recall`, or None for any other metric.

    The name may hold any character, slashes included.
    """
    prefix = f"val/{_CLASS}"
    if not (metric.startswith(prefix) and metric.endswith(_RECALL)):
        return None
    return metric[len(prefix) : -len(_RECALL)] or None


def metric_entry(metric: str) -> Metric:
    """The entry of `<split>/<metric>`, `<split>/expert_<i>/<metric>` or the recall of a class."""
    class_name = class_of(metric)
    if class_name is None:
        return metric_table()[metric.rpartition("/")[2]]
    return replace(
        metric_table()["accuracy"],
        name=class_recall(class_name),
        label=f"recall {class_name}",
        short_label=f"recall {class_name}",
    )


def is_objective(metric: str) -> bool:
    """Whether a study may optimise or constrain a metric, with costs and data that define it."""
    return metric in (*objective_names(), *COST_METRICS) or class_of(metric) is not None


def objective_names() -> tuple[str, ...]:
    """The metrics that any study may optimise: all of the validation split, none of the test set.

    Besides, there are the recall of single classes, and `COST_METRICS`.
    """
    without_costs = (name for name in validation_metrics() if name not in COST_METRICS)
    return (*without_costs, *shifted_metrics())
