"""The commands: each module runs one command on top of the other packages."""

from pathlib import Path

RUNS = Path("runs")
"""The default directory of studies and models."""

PREDICTIONS = Path("predictions.parquet")
"""The default file of predictions."""

UI_PORT = 5000
"""The default port of `ui`."""
