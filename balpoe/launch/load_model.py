"""`balpoe.load`: load a trained model for prediction."""

from __future__ import annotations

from pathlib import Path

from balpoe.errors import StorageError
from balpoe.inference import Classifier
from balpoe.launch.device_option import choose_device
from balpoe.training.model_directory import load_model
from balpoe.training.model_files import is_model, seed_directories


def load(model: Path | str, *, device: str | None = None) -> Classifier:
    """Load a model directory onto the named device, by default a GPU if there is one.

    Needs neither Ray, Optuna, MLflow nor pydantic.

    Raises:
        StorageError: the path holds no model, or several.
        CorruptFile: the model is damaged, modified or of an unsupported format.
        UserError: the device is not available.
    """
    return Classifier(load_model(single_model(Path(model))), choose_device(device))


def single_model(path: Path) -> Path:
    """Return `path`, unless it is the parent directory of models of several seeds.

    Raises:
        StorageError: `path` is such a directory; the message names the models.
    """
    seeds = () if is_model(path) else seed_directories(path)
    if seeds:
        names = ", ".join(seed.name for seed in seeds)
        raise StorageError(f"{path}: holds a model for each seed ({names}); choose {seeds[0]}")
    return path
