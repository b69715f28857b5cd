"""The verb `evaluate`: trained models on the test set and its long-tailed cuts."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from balpoe.config.data import DataSource
from balpoe.data import Images, load_final_splits, load_test_images
from balpoe.data.description import test_fingerprint
from balpoe.errors import DataError, StorageError
from balpoe.evaluation.distributions import DistributionEvaluation
from balpoe.evaluation.post_hoc import PostHocEvaluation, evaluate_post_hoc
from balpoe.files import configuration_from_plain
from balpoe.launch.device_option import chosen_device
from balpoe.method.priors import class_prior
from balpoe.training.final_training import evaluate_on
from balpoe.training.model_directory import (
    MODEL,
    Calibration,
    Provenance,
    TrainedModel,
    is_model,
    load_model,
    seed_directories,
)


@dataclass(frozen=True, eq=False, slots=True)
class SeedEvaluation:
    """One trained model on every test distribution.

    `post_hoc` are all the choices that need no training, where they were asked for;
    `calibration` has the temperatures among them, or says why there are none.
    """

    path: Path
    seed: int
    lambdas: tuple[float, ...]
    rows: tuple[DistributionEvaluation, ...]
    calibration: Calibration
    post_hoc: tuple[PostHocEvaluation, ...] = ()


def evaluate(
    model: Path | str, *, post_hoc: bool = False, device: str | None = None
) -> tuple[SeedEvaluation, ...]:
    """Evaluate a model directory, or every `seed_<s>` below a directory of a final training.

    With `post_hoc` also by every prior (unknown, known, estimated), temperature and balanced
    subset of experts.

    Raises:
        StorageError: there is no model.
        CorruptFile: a model is damaged or was touched.
        DataError: the test images are not those that the model was trained for, or the seeds
            were trained with several configurations.
    """
    computing = chosen_device(device)
    paths = _models(Path(model))
    models = {path: load_model(path) for path in paths}
    first = models[paths[0]].provenance
    _refuse_mixture(models, first)
    configuration = configuration_from_plain(first.configuration, str(paths[0] / MODEL))
    test = _test_images(models, configuration.data)
    return tuple(
        _evaluated(path, trained, test, computing, post_hoc=post_hoc)
        for path, trained in models.items()
    )


def _evaluated(
    path: Path, trained: TrainedModel, test: Images, device: torch.device, *, post_hoc: bool
) -> SeedEvaluation:
    logits_nec = trained.predict(test, device)
    provenance = trained.provenance
    class_counts = provenance.description.class_counts
    choices: tuple[PostHocEvaluation, ...] = ()
    if post_hoc:
        choices = evaluate_post_hoc(
            logits_nec,
            test.labels_n,
            prior_c=class_prior(class_counts),
            lambdas=provenance.lambdas,
            class_counts=class_counts,
            temperatures=provenance.calibration.temperatures,
        )
    return SeedEvaluation(
        path,
        provenance.seed,
        provenance.lambdas,
        evaluate_on(logits_nec, test, provenance),
        provenance.calibration,
        choices,
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


def _refuse_mixture(models: Mapping[Path, TrainedModel], first: Provenance) -> None:
    """What was trained differently has no common mean."""
    for path, model in models.items():
        if model.provenance.configuration != first.configuration:
            raise DataError(
                f"{path}: was trained with another configuration than seed {first.seed} beside "
                f"it: evaluate each by itself, or move one to a directory of its own"
            )


def _test_images(models: Mapping[Path, TrainedModel], data: DataSource) -> Images:
    """The test images, after a check that they are those of the training of every model."""
    if any(model.provenance.test_fingerprint is None for model in models.values()):
        return _test_images_with_all(models, data)
    test = load_test_images(data)
    found = functools.cache(functools.partial(test_fingerprint, test))  # reads all images
    for path, model in models.items():
        if model.provenance.test_fingerprint != found(model.provenance.description):
            raise _other_data(path, "test images")
    return test


def _test_images_with_all(models: Mapping[Path, TrainedModel], data: DataSource) -> Images:
    """Likewise for models that tell of all their data alone."""
    splits = load_final_splits(data)
    for path, model in models.items():
        if model.provenance.description.fingerprint != splits.description.fingerprint:
            raise _other_data(path, "data")
    return splits.test


def _other_data(path: Path, what: str) -> DataError:
    return DataError(
        f"{path}: was trained with other {what} than its configuration gives now (their "
        f"fingerprint differs); restore the files it was trained with"
    )
