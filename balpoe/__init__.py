"""Studies of the Balanced Product of Calibrated Experts for long-tailed image classification.

The verbs of the command line are functions here; each is imported when it is first used, so
that `import balpoe` stays light.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from balpoe.launch.check import check
    from balpoe.launch.clean import clean
    from balpoe.launch.data import inspect_data, prepare_data
    from balpoe.launch.doctor import doctor
    from balpoe.launch.evaluation import evaluate
    from balpoe.launch.exports import export
    from balpoe.launch.final_training import train
    from balpoe.launch.loading import load
    from balpoe.launch.onnx import to_onnx
    from balpoe.launch.prediction import predict
    from balpoe.launch.status import status
    from balpoe.launch.stopping import stop
    from balpoe.launch.studies import run
    from balpoe.launch.submission import submit
    from balpoe.launch.sync import sync
    from balpoe.launch.ui import ui

__version__ = version("balpoe")
__all__ = [
    "check",
    "clean",
    "doctor",
    "evaluate",
    "export",
    "inspect_data",
    "load",
    "predict",
    "prepare_data",
    "run",
    "status",
    "stop",
    "submit",
    "sync",
    "to_onnx",
    "train",
    "ui",
]

_HOMES = {
    "check": "balpoe.launch.check",
    "clean": "balpoe.launch.clean",
    "doctor": "balpoe.launch.doctor",
    "evaluate": "balpoe.launch.evaluation",
    "export": "balpoe.launch.exports",
    "inspect_data": "balpoe.launch.data",
    "prepare_data": "balpoe.launch.data",
    "load": "balpoe.launch.loading",
    "predict": "balpoe.launch.prediction",
    "run": "balpoe.launch.studies",
    "status": "balpoe.launch.status",
    "stop": "balpoe.launch.stopping",
    "submit": "balpoe.launch.submission",
    "sync": "balpoe.launch.sync",
    "to_onnx": "balpoe.launch.onnx",
    "train": "balpoe.launch.final_training",
    "ui": "balpoe.launch.ui",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'balpoe' has no attribute {name!r}")
