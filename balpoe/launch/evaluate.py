"""The command `evaluate`: score and compare trained models on the test set and its shifts."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import torch
from torch import Tensor

from balpoe.config.data import DataSource, FittedImages
from balpoe.data import Images, load_final_splits, load_test_images
from balpoe.data.description import test_fingerprint
from balpoe.errors import DataError, StorageError, UserError
from balpoe.evaluation.class_results import ResultsByPrior
from balpoe.evaluation.distributions import DistributionEvaluation
from balpoe.evaluation.post_hoc import PostHocEvaluation, evaluate_post_hoc
from balpoe.evaluation.tau_choices import TauChoice
from balpoe.evaluation.validated_choices import (
    ValidatedChoices,
    metrics_on_test,
    metrics_on_validation,
    validated_choices,
)
from balpoe.files import configuration_from_plain
from balpoe.launch.device_option import choose_device
from balpoe.launch.tau_choices import tau_choices
from balpoe.study.selection.side_by_side import (
    ModelDifferences,
    SeedMetrics,
    compared_metrics,
    differences_from_first,
)
from balpoe.training.final_training import class_results_on, evaluate_on
from balpoe.training.model_directory import NOT_KEPT, Calibration, TrainedModel, load_model
from balpoe.training.model_files import MODEL, model_directories


@dataclass(frozen=True, eq=False, slots=True)
class SeedEvaluation:
    """The evaluation of one trained model.

    Attributes:
        path: The model directory.
        seed: The seed of the training.
        lambdas: The λ of each expert; None if its loss uses none, or one for each class.
        shown_lambdas: The λ of each expert as text.
        rows: The scores on every test distribution.
        classes: The results of each class on the whole test set.
        class_names: The names of the classes.
        class_counts: The training images of each class.
        calibration: The temperatures of the model, or the reason why it has none.
        post_hoc: The scores of every prior, temperature and subset of experts, if requested.
        validated: The temperatures and subsets on validation and on the test set, if requested.
        taus: Logit adjustment, and τ-normalisation of linear classifiers, with τ chosen on images
            outside the training, if requested.
    """

    path: Path
    seed: int
    lambdas: tuple[float, ...] | None
    shown_lambdas: tuple[str, ...]
    rows: tuple[DistributionEvaluation, ...]
    classes: ResultsByPrior
    class_names: tuple[str, ...]
    class_counts: tuple[int, ...]
    calibration: Calibration
    post_hoc: tuple[PostHocEvaluation, ...] = ()
    validated: ValidatedChoices | None = None
    taus: tuple[TauChoice, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class ModelEvaluation:
    """The evaluation of all seeds of a model.

    `path` is a model directory, or the directory of a final training.
    """

    path: Path
    seeds: tuple[SeedEvaluation, ...]

    @property
    def metrics(self) -> SeedMetrics:
        """The metrics of each seed, such as `test_forward_10/ece`."""
        return {
            seed.seed: {name: value for row in seed.rows for name, value in row.scalars().items()}
            for seed in self.seeds
        }


@dataclass(frozen=True, eq=False, slots=True)
class SideBySide:
    """Models on the same test set, and the differences of all but the first one from it."""

    models: tuple[ModelEvaluation, ...]
    differences: tuple[ModelDifferences, ...]


@overload
def evaluate(
    model: Path | str, *, post_hoc: bool = ..., shifts: bool = ..., device: str | None = ...
) -> tuple[SeedEvaluation, ...]: ...


@overload
def evaluate(
    model: list[Path] | list[str] | tuple[Path | str, ...],
    *,
    post_hoc: bool = ...,
    shifts: bool = ...,
    device: str | None = ...,
) -> SideBySide: ...


def evaluate(
    model: Path | str | Sequence[Path | str],
    *,
    post_hoc: bool = False,
    shifts: bool = False,
    device: str | None = None,
) -> tuple[SeedEvaluation, ...] | SideBySide:
    """Evaluate a model directory, or every `seed_<s>` in the directory of a final training.

    With `post_hoc` also for every prior (unknown, known, estimated), temperature and balanced
    subset of experts; temperatures and subsets are chosen on the validation predictions of the
    search trial that the models of an export carry.

    A list or tuple of models is compared: the differences from the first one on the whole test set
    in accuracy and ECE, over images and over classes where these differ, and with `shifts` also on
    every shifted test set. They are paired over the seeds that both models have.

    Raises:
        StorageError: there is no model.
        CorruptFile: a model is damaged or modified.
        DataError: the test images have changed since the training, the models of one directory
            have different configurations, or models to compare have different data.
        UserError: a model is given twice, also as a part of a directory, or no model at all.
    """
    torch_device = choose_device(device)
    paths = [Path(model)] if isinstance(model, str | Path) else [Path(each) for each in model]
    _refuse_repeated(paths)
    found = {path: {each: load_model(each) for each in _model_paths(path)} for path in paths}
    for models in found.values():
        _refuse_different_configurations(models)
    _refuse_different_data(found)
    every = {path: trained for models in found.values() for path, trained in models.items()}
    [(first_path, first), *_] = every.items()
    configuration = configuration_from_plain(
        first.provenance.configuration, str(first_path / MODEL)
    )
    test = _test_images(every, configuration.data)
    evaluated = tuple(
        ModelEvaluation(
            path,
            tuple(
                _evaluate_seed(each, trained, test, torch_device, post_hoc=post_hoc)
                for each, trained in models.items()
            ),
        )
        for path, models in found.items()
    )
    if isinstance(model, str | Path):
        return evaluated[0].seeds
    metrics = [each.metrics for each in evaluated]
    if len(metrics) == 1:
        return SideBySide(evaluated, ())
    compared = compared_metrics(metrics, shifts=shifts)
    return SideBySide(evaluated, differences_from_first(metrics, compared))


def _evaluate_seed(
    path: Path, trained: TrainedModel, test: Images, device: torch.device, *, post_hoc: bool
) -> SeedEvaluation:
    logits_nec = trained.predict(test, device)
    provenance = trained.provenance
    class_counts = provenance.description.class_counts
    choices: tuple[PostHocEvaluation, ...] = ()
    validated = None
    taus: tuple[TauChoice, ...] = ()
    if post_hoc:
        held_out = _held_out(trained)
        choices = evaluate_post_hoc(
            logits_nec,
            test.labels_n,
            priors=provenance.priors,
            class_counts=class_counts,
            temperatures=provenance.calibration.temperatures,
            held_out=held_out,
        )
        validated = _validated(trained, logits_nec, test)
        taus = tuple(tau_choices(trained, logits_nec, test, held_out))
    return SeedEvaluation(
        path=path,
        seed=provenance.seed,
        lambdas=provenance.lambdas,
        shown_lambdas=provenance.shown_lambdas,
        rows=evaluate_on(logits_nec, test, provenance),
        classes=class_results_on(logits_nec, test, provenance),
        class_names=provenance.description.class_names,
        class_counts=tuple(class_counts),
        calibration=provenance.calibration,
        post_hoc=choices,
        validated=validated,
        taus=taus,
    )


def _validated(trained: TrainedModel, logits_nec: Tensor, test: Images) -> ValidatedChoices:
    """Return the choices on validation, with their scores on the test images."""
    provenance = trained.provenance
    class_counts = provenance.description.class_counts
    on_test = metrics_on_test(
        logits_nec,
        test.labels_n,
        priors=provenance.priors,
        class_counts=class_counts,
        temperatures=provenance.calibration.temperatures,
    )
    predictions = trained.validation_predictions()
    if predictions is None:
        origin = provenance.calibration.origin
        if provenance.calibration.temperatures is not None:
            origin = NOT_KEPT
        return validated_choices(None, on_test, origin)
    on_validation = metrics_on_validation(
        torch.from_numpy(predictions.logits_nec),
        torch.from_numpy(predictions.labels_n.copy()),
        priors=predictions.priors,
        class_counts=predictions.class_counts,
    )
    return validated_choices(on_validation, on_test, predictions.origin)


def _held_out(trained: TrainedModel) -> tuple[Tensor, Tensor] | None:
    predictions = trained.held_out_predictions()
    if predictions is None:
        return None
    return torch.from_numpy(predictions.logits_nec), torch.from_numpy(predictions.labels_n.copy())


def _model_paths(path: Path) -> tuple[Path, ...]:
    found = model_directories(path)
    if not found:
        raise StorageError(
            f"{path}: holds no finished model; `balpoe train` writes one, and continues an "
            f"interrupted training"
        )
    return found


def _refuse_repeated(paths: Sequence[Path]) -> None:
    if not paths:
        raise UserError("no model is given")
    seen: dict[Path, Path] = {}
    for path in paths:
        models = [model.resolve() for model in _model_paths(path)]
        for other in (seen[model] for model in models if model in seen):
            if other.resolve() == path.resolve():
                raise UserError(f"{path}: is given twice")
            raise UserError(f"{path}: a model of it is given twice, by {other} too")
        seen |= dict.fromkeys(models, path)


def _refuse_different_data(found: Mapping[Path, Mapping[Path, TrainedModel]]) -> None:
    """Refuse models that differ from the first one in classes, test images or training images."""
    [(first_path, first), *others] = (
        (path, next(iter(models.values())).provenance) for path, models in found.items()
    )
    for path, other in others:
        differing = None
        if other.description.class_names != first.description.class_names:
            differing = "classes"
        elif None not in (prints := {first.test_fingerprint, other.test_fingerprint}) and (
            len(prints) > 1
        ):
            differing = "test images"
        elif other.description.fingerprint != first.description.fingerprint:
            differing = "training images"
        if differing is not None:
            raise DataError(
                f"{path}: has other {differing} than {first_path}; only models of the same data "
                f"can be compared"
            )


def _refuse_different_configurations(models: Mapping[Path, TrainedModel]) -> None:
    first = next(iter(models.values())).provenance
    for path, model in models.items():
        if model.provenance.configuration != first.configuration:
            raise DataError(
                f"{path}: was trained with another configuration than seed {first.seed} in the "
                f"same directory: evaluate each separately, or move one to another directory"
            )


def _test_images(models: Mapping[Path, TrainedModel], data: DataSource) -> Images:
    """Return the test images after checking them against the fingerprints of all models."""
    if any(model.provenance.test_fingerprint is None for model in models.values()):
        # models of earlier versions have a fingerprint of all their data only, and were trained
        # without the set's own validation split
        if isinstance(data, FittedImages):
            data = replace(data, final_uses_validation=False)
        splits = load_final_splits(data)
        for path, model in models.items():
            if model.provenance.description.fingerprint != splits.description.fingerprint:
                raise _changed_data(path, "data")
        return splits.test
    test = load_test_images(data)
    fingerprint = functools.cache(functools.partial(test_fingerprint, test))  # reads all images
    for path, model in models.items():
        if model.provenance.test_fingerprint != fingerprint(model.provenance.description):
            raise _changed_data(path, "test images")
    return test


def _changed_data(path: Path, what: str) -> DataError:
    return DataError(
        f"{path}: was trained with other {what} than its configuration gives now (their "
        f"fingerprint differs); restore the files it was trained with"
    )
