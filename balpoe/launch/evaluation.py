"""The verb `evaluate`: trained models on the test set and its long-tailed cuts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from balpoe.data import load_final_splits
from balpoe.errors import DataError, StorageError
from balpoe.evaluation import DistributionEvaluation
from balpoe.files import configuration_from_plain
from balpoe.launch.devices import chosen_device
from balpoe.training.final import evaluate_final
from balpoe.training.model_directory import (
    MODEL,
    TrainedModel,
    is_model,
    load_model,
    seed_directories,
)


@dataclass(frozen=True, eq=False, slots=True)
class SeedEvaluation:
    """One trained model on every test distribution."""

    path: Path
    seed: int
    lambdas: tuple[float, ...]
    rows: tuple[DistributionEvaluation, ...]


def evaluate(model: Path | str, *, device: str | None = None) -> tuple[SeedEvaluation, ...]:
    """Evaluate a model directory, or every `seed_<s>` below a directory of a final training.

    Raises:
        StorageError: there is no model.
        CorruptFile: a model is damaged or was touched.
        DataError: the test data are not those the model was trained for.
    """
    computing = chosen_device(device)
    paths = _models(Path(model))
    models = {path: load_model(path) for path in paths}
    first = models[paths[0]].provenance
    configuration = configuration_from_plain(first.configuration, str(paths[0] / MODEL))
    splits = load_final_splits(configuration.data)
    for path, trained in models.items():
        _refuse_other_data(path, trained, splits.description.fingerprint)
    return tuple(
        SeedEvaluation(
            path,
            trained.provenance.seed,
            trained.provenance.lambdas,
            evaluate_final(trained, splits.test, computing),
        )
        for path, trained in models.items()
    )


def _models(path: Path) -> tuple[Path, ...]:
    if is_model(path):
        return (path,)
    found = seed_directories(path)
    if not found:
        raise StorageError(
            f"{path}: holds no finished model; `balpoe train` writes one, and continues one that "
            f"was interrupted"
        )
    return found


def _refuse_other_data(path: Path, trained: TrainedModel, fingerprint: str) -> None:
    if trained.provenance.description.fingerprint != fingerprint:
        raise DataError(
            f"{path}: was trained with other data than its configuration gives now (the data's "
            f"fingerprint differs); restore the files it was trained with"
        )
