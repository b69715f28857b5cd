"""`balpoe.load`: a trained model, ready to answer for images."""

from __future__ import annotations

from pathlib import Path

from balpoe.errors import StorageError
from balpoe.inference import Classifier
from balpoe.launch.device_option import chosen_device
from balpoe.training.model_directory import is_model, load_model, seed_directories


def load(model: Path | str, *, device: str | None = None) -> Classifier:
    """Read a model directory, on a GPU where there is one or on the named device.

    Needs neither Ray, Optuna, MLflow nor pydantic.

    Raises:
        StorageError: there is no model at the path, or there are several.
        CorruptFile: it is damaged, was touched or is of another format.
        UserError: there is no such device.
    """
    return Classifier(load_model(single_model(Path(model))), chosen_device(device))


def single_model(path: Path) -> Path:
    """`path` itself, unless it is the directory above the models of several seeds.

    Raises:
        StorageError: it is, and one of them must be chosen.
    """
    seeds = () if is_model(path) else seed_directories(path)
    if seeds:
        names = ", ".join(seed.name for seed in seeds)
        raise StorageError(f"{path}: holds a model for each seed ({names}); choose {seeds[0]}")
    return path
