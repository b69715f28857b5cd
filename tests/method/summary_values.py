"""The numbers of a summary of predictions, for comparisons."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from balpoe.evaluation.prediction_summary import PredictionSummary


def flat_values(summary: PredictionSummary) -> dict[str, float]:
    """Return all numbers by their place, NaN for None."""
    found: dict[str, float] = {}

    def visit(place: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, item in value.items():
                visit(f"{place}/{name}", item)
        elif isinstance(value, tuple | list):
            for n, item in enumerate(value):
                visit(f"{place}/{n}", item)
        elif not isinstance(value, str):
            found[place] = math.nan if value is None else value

    visit("", dataclasses.asdict(summary))
    return found
