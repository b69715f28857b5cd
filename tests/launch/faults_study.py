"""A study whose trials do no work; `fault_driver.py` runs it under `supervised.py`."""

from __future__ import annotations

from pathlib import Path

PARENT, DRIVER = (Path(__file__).with_name(name) for name in ("supervised.py", "fault_driver.py"))
EPOCHS = 3


def faults_study(trials: int, further: str = "", *, wall_hours: float | None = None) -> str:
    """Return the study file with `further` lines at its end."""
    hours = "" if wall_hours is None else f", wall_hours: {wall_hours}"
    return f"""
name: faults
data: {{name: digits_lt}}
model: {{backbone: resnet8}}
training: {{epochs: {EPOCHS}}}
search:
  mixup.alpha: {{type: float, low: 0.0, high: 1.0}}
  experts.spread: {{type: float, low: 0.0, high: 2.0}}
objectives: {{val/accuracy: maximize, val/ece: minimize}}
budget: {{trials: {trials}{hours}}}
{further}
"""
