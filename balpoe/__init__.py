"""Studies of the Balanced Product of Calibrated Experts for long-tailed image classification.

The verbs of the command line are functions here; each is imported when it is first used, so
that `import balpoe` stays light.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from balpoe.launch.evaluation import evaluate
    from balpoe.launch.exports import export
    from balpoe.launch.final_training import train
    from balpoe.launch.studies import run

__version__ = version("balpoe")
__all__ = ["evaluate", "export", "run", "train"]

_HOMES = {
    "evaluate": "balpoe.launch.evaluation",
    "export": "balpoe.launch.exports",
    "run": "balpoe.launch.studies",
    "train": "balpoe.launch.final_training",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'balpoe' has no attribute {name!r}")
