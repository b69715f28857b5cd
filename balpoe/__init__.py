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
    from balpoe.launch.evaluate import evaluate
    from balpoe.launch.export import export
    from balpoe.launch.load import load
    from balpoe.launch.onnx import to_onnx
    from balpoe.launch.predict import predict
    from balpoe.launch.run import run
    from balpoe.launch.status import status
    from balpoe.launch.stop import stop
    from balpoe.launch.submit import submit
    from balpoe.launch.sync import sync
    from balpoe.launch.train import train
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
    "evaluate": "balpoe.launch.evaluate",
    "export": "balpoe.launch.export",
    "inspect_data": "balpoe.launch.data",
    "prepare_data": "balpoe.launch.data",
    "load": "balpoe.launch.load",
    "predict": "balpoe.launch.predict",
    "run": "balpoe.launch.run",
    "status": "balpoe.launch.status",
    "stop": "balpoe.launch.stop",
    "submit": "balpoe.launch.submit",
    "sync": "balpoe.launch.sync",
    "to_onnx": "balpoe.launch.onnx",
    "train": "balpoe.launch.train",
    "ui": "balpoe.launch.ui",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'balpoe' has no attribute {name!r}")
