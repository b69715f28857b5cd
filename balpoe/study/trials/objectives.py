"""The objective values of a trial: the check that they are finite numbers, and their losses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from balpoe.config import Direction
from balpoe.errors import NonFiniteError


def finite_objectives(metrics: Mapping[str, object], names: Iterable[str]) -> dict[str, float]:
    """Return the values of `names`, objectives or constrained metrics, in `metrics`.

    Raises:
        NonFiniteError: a value is missing, not a number, NaN or infinite; all of them are named.
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
        raise NonFiniteError(
            f"{', '.join(refused)}: objectives and constrained metrics must be finite numbers"
        )
    return values


def losses(
    objectives: Mapping[str, float], directions: Mapping[str, Direction]
) -> tuple[float, ...]:
    """Return the objectives with the sign changed where higher is better."""
    return tuple(
        objectives[name] * (-1 if direction == "maximize" else 1)
        for name, direction in directions.items()
    )
