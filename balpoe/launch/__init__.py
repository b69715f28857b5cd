"""The verbs: each wires one task together from the layers below."""

from pathlib import Path

RUNS = Path("runs")
"""Where the verbs keep studies and models, unless they are told otherwise."""

PREDICTIONS = Path("predictions.parquet")
"""Where predictions go, unless they are told otherwise."""
