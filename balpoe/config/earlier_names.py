"""Metric names of earlier versions: `val/accuracy`, `ece`, `mce` and `nll` weighted classes.

Their values are those of `val/balanced_accuracy`, `val/balanced_ece`, `val/balanced_mce` and
`val/balanced_nll`. On a balanced split both names have the same value, so there the earlier names
stay valid too.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from balpoe.config.study import StudySpec
from balpoe.errors import UserError

Value = TypeVar("Value")

_EARLIER: Final = re.compile(r"(val/(?:expert_\d+/)?)(accuracy|ece|mce|nll)")

_KEPT: Final = re.compile(
    r"val/(balanced_(accuracy|ece|mce|nll)|accuracy_(many|medium|few)|kl_to_target_prior(_matched)?)"
)


def balanced_name(name: str) -> str:
    """Return the present name of a class-weighted metric; other names are returned as they are."""
    return _EARLIER.sub(r"\1balanced_\2", name) if _EARLIER.fullmatch(name) else name


def converted_metrics(metrics: Mapping[str, float], *, is_balanced: bool) -> dict[str, float]:
    """Return the metrics that an earlier version recorded, by their present names.

    Where the validation split `is_balanced`, they have their earlier names as well.
    """
    earlier = {name: value for name, value in metrics.items() if balanced_name(name) != name}
    kept = {name: value for name, value in metrics.items() if is_balanced or name not in earlier}
    return kept | {balanced_name(name): value for name, value in earlier.items()}


def converted_study(spec: StudySpec) -> StudySpec:
    """Return a study of an earlier version with the present names of its class-weighted metrics.

    Raises:
        UserError: the study names a metric by both names.
    """
    return replace(
        spec,
        objectives=_converted(spec, "objectives", spec.objectives),
        constraints=_converted(spec, "constraints", spec.constraints),
    )


def class_weighted_names(metrics: Mapping[str, float]) -> set[str]:
    """Return the names that an earlier version gave to converted metrics of an unbalanced split."""
    return {
        earlier
        for name in metrics
        if (earlier := name.replace("balanced_", "", 1)) not in metrics
        and balanced_name(earlier) == name
    }


def weighted_classes(lacking: Iterable[str], present: Container[str]) -> str:
    """Return a hint for each lacking metric that an earlier version has by its present name."""
    return "".join(
        f" (an earlier version's {name} weighted classes: it is {balanced_name(name)} now)"
        for name in lacking
        if balanced_name(name) != name and balanced_name(name) in present
    )


def metrics_of_unknown_weight(spec: StudySpec) -> list[str]:
    """Return the objectives and constraints of a converted study that another package defines.

    Their values weighted classes if they are means over images; their names do not show it.
    """
    return [
        name
        for name in (*spec.objectives, *spec.constraints)
        if name.count("/") == 1 and not _KEPT.fullmatch(name)
    ]


def converted_bound(bound: str) -> str:
    """Return a bound such as `val/nll <= 1.2` with the present name of its metric."""
    metric, separator, rest = bound.partition(" ")
    return f"{balanced_name(metric)}{separator}{rest}"


def _converted(spec: StudySpec, field: str, values: Mapping[str, Value]) -> dict[str, Value]:
    converted = {balanced_name(name): value for name, value in values.items()}
    if len(converted) < len(values):
        raise UserError(
            f"{field}: the study {spec.name} of an earlier version names one metric twice, as "
            f"{' and '.join(values)}: continue it with the version that began it"
        )
    return converted
