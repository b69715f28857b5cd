"""The objective values of a trial: present and finite, or refused; and as losses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from balpoe.config import Direction
from balpoe.errors import NonFiniteError


def finite_objectives(metrics: Mapping[str, object], names: Iterable[str]) -> dict[str, float]:
    """The values of the objectives, or of constrained metrics, `names` among `metrics`.

    Raises:
        NonFiniteError: one is missing, not a number, NaN or infinite; all such are named.
    """
    values: dict[str, float] = {}
    refused = []
    for name in names:
        value = metrics.get(name)
        if isinstance(value, int | float) and math.isfinite(value):
            values[name] = float(value)
        else:
            refused.append(f"{name} is {'missing' if name not in metrics else value}")
    if refused:
        raise NonFiniteError(f"{', '.join(refused)}: what a study goes by must be a finite number")
    return values


def losses(
    objectives: Mapping[str, float], directions: Mapping[str, Direction]
) -> tuple[float, ...]:
    """The objectives, turned so that lower is better in each."""
    return tuple(
        objectives[name] * (-1 if direction == "maximize" else 1)
        for name, direction in directions.items()
    )
