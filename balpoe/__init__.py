"""Studies of the Balanced Product of Calibrated Experts for long-tailed image classification.

The commands of `balpoe` as functions. Each function is imported on first use, so that
`import balpoe` loads neither PyTorch, Ray, Optuna nor MLflow.
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
    from balpoe.launch.load_model import load
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

# the modules of functions that are not named like their module
_MODULES = {
    "inspect_data": "data",
    "load": "load_model",
    "prepare_data": "data",
    "to_onnx": "onnx",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'balpoe' has no attribute {name!r}")
    return getattr(importlib.import_module(f"balpoe.launch.{_MODULES.get(name, name)}"), name)
