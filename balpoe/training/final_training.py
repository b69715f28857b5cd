"""Final training: one seed of a configuration, from the whole training set to a saved model.

The test set is read once, when the last epoch is done.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch

from balpoe.atomic_write import ensure_writable
from balpoe.config import Configuration, to_plain
from balpoe.config.shifts import WHOLE_TEST
from balpoe.data.description import test_fingerprint
from balpoe.data.held_out import held_out_images
from balpoe.data.image_locations import positions
from balpoe.data.splits import FinalSplits, Images
from balpoe.errors import StorageError
from balpoe.evaluation.class_counting import class_results
from balpoe.evaluation.class_results import ResultsByPrior, as_plain
from balpoe.evaluation.distributions import DistributionEvaluation, evaluate_distributions
from balpoe.evaluation.summarising import prediction_summary
from balpoe.training.checkpoint import OTHER_TRAINING, CheckpointDirectory
from balpoe.training.epoch import EpochResult
from balpoe.training.estimated_priors import estimated_prior_results
from balpoe.training.first_stage_model import first_stage_model
from balpoe.training.loss_context import scalar_lambdas
from balpoe.training.model_card import write_model_card
from balpoe.training.model_directory import (
    OUTSIDE_A_STUDY,
    Calibration,
    Provenance,
    TrainedModel,
    load_model,
    save_model,
)
from balpoe.training.model_files import (
    CARD,
    HELD_OUT_PREDICTIONS,
    TEST_PREDICTIONS,
    TEST_SUMMARY,
    VALIDATION_PREDICTIONS,
    is_model,
)
from balpoe.training.precision import INFERENCE
from balpoe.training.predictions_file import Predictions, write_predictions
from balpoe.training.search_validation import ValidationFile
from balpoe.training.summary_file import write_summary
from balpoe.training.test_predictions import write_test_predictions
from balpoe.training.training import Training, training_identity
from balpoe.training.validation_metrics import bayes_scalars

CHECKPOINTS = "checkpoints"
_EARLIER_VERSION_HINT = (
    " (earlier versions trained on the training split alone, as data.final_uses_validation: false "
    "does)"
)


@dataclass(frozen=True, slots=True)
class FinalTraining:
    """One seed of a final training.

    Attributes:
        configuration: What to train.
        seed: The seed.
        path: The directory of the model.
        balpoe_version: The version that is recorded in the model.
        calibration: The temperatures that are saved with the model.
        validation: The validation predictions of the search trial, which are saved with the model.
        attempt: Counts the restarts after a lost worker.
        first_stage: The model that replaces the first stage, or the directory of those of several
            seeds.
    """

    configuration: Configuration
    seed: int
    path: Path
    balpoe_version: str
    calibration: Calibration = OUTSIDE_A_STUDY
    validation: ValidationFile | None = None
    attempt: int = 0
    first_stage: Path | None = None


def train_final(
    task: FinalTraining,
    splits: FinalSplits,
    device: torch.device,
    on_epoch: Callable[[EpochResult], None],
) -> TrainedModel:
    """Train one seed as `final_epochs` does, and call `on_epoch` with each epoch's result."""
    with closing(final_epochs(task, splits, device)) as epochs:
        for result in epochs:
            on_epoch(result)
    return load_model(task.path)


def final_epochs(
    task: FinalTraining, splits: FinalSplits, device: torch.device
) -> Generator[EpochResult, None, None]:
    """Yield every epoch of one seed, also those before a restart; then save its model.

    A finished model is left as it is; an unfinished training continues from its newest
    checkpoint. A generator that is closed early saves a checkpoint.

    Raises:
        StorageError: the path holds a model of another configuration, data or seed, or cannot
            be written.
        CorruptFile: a file in the path is damaged, or the checkpoints are of another training.
        NonFiniteError: the loss is not finite.
        DataError: the costs are not those of the classes, the labelled images that the training
            leaves out cannot be used, or a second stage needs some to choose on.
        UserError: the model of the first stage is not that of this configuration, data and seed.
    """
    path = task.path
    if is_model(path):
        model = refuse_other_model(task, splits)
        # both remain to be done after a crash that followed the manifest
        shutil.rmtree(path / CHECKPOINTS, ignore_errors=True)
        if not (path / CARD).exists():
            write_model_card(path, [model])
        return
    ensure_writable(path)
    _copy_validation_predictions(task)
    held_out = held_out_images(task.configuration.data, splits)
    training = Training(
        task.configuration,
        train=splits.train,
        description=splits.description,
        selection=held_out,
        seed=task.seed,
        device=device,
        checkpoints=CheckpointDirectory(
            path / CHECKPOINTS,
            task.attempt,
            earlier_version_hint=_EARLIER_VERSION_HINT if splits.own_validation else "",
        ),
    )
    if task.first_stage is not None and not training.history:
        model = first_stage_model(
            task.first_stage, task.configuration, splits.description, task.seed
        )
        epochs = [EpochResult(**epoch) for epoch in model.metrics["epochs"]]
        training.begin_after_first_stage(model.experts.state_dict(), epochs)
    yield from training.history
    try:
        yield from training.fit()
    except (KeyboardInterrupt, GeneratorExit):
        training.save_checkpoint()
        raise
    _save(task, training, splits, held_out)
    shutil.rmtree(path / CHECKPOINTS, ignore_errors=True)
    write_model_card(path, [load_model(path)])


def _save(
    task: FinalTraining, training: Training, splits: FinalSplits, held_out_set: Images | None
) -> None:
    """Evaluate a finished training on the test images, and save its model and predictions."""
    provenance = _provenance(task, training, splits)
    logits_nec = training.predict(splits.test, INFERENCE)
    evaluations = evaluate_on(logits_nec, splits.test, provenance)
    metrics = {name: value for row in evaluations for name, value in row.scalars().items()}
    metrics |= bayes_scalars(logits_nec, splits.test, provenance.priors, WHOLE_TEST)
    held_out = None
    if held_out_set is not None:
        held_out = training.predict(held_out_set, INFERENCE), held_out_set.labels_n
    estimated = estimated_prior_results(logits_nec, splits.test, provenance, held_out)
    metrics |= estimated.scalars
    details = {
        "distributions": image_numbers(evaluations),
        "no_estimated_prior": estimated.missing,
        "per_class": as_plain(
            class_results_on(logits_nec, splits.test, provenance), splits.description.class_names
        ),
    }
    write_test_predictions(
        task.path / TEST_PREDICTIONS,
        logits_nec,
        splits.test.labels_n,
        splits.test_locations or positions(len(splits.test)),
        splits.description,
        identity=provenance.identity,
    )
    summary = prediction_summary(
        logits_nec,
        splits.test.labels_n,
        split="test",
        class_names=splits.description.class_names,
        class_counts=splits.description.class_counts,
        priors=provenance.priors,
        lambdas=provenance.lambdas,
    )
    write_summary(task.path / TEST_SUMMARY, summary)
    written = [TEST_PREDICTIONS, TEST_SUMMARY]
    if task.validation is not None:
        written.append(VALIDATION_PREDICTIONS)
    if held_out is not None:
        predictions = Predictions(*(tensor.numpy() for tensor in held_out))
        write_predictions(task.path / HELD_OUT_PREDICTIONS, predictions)
        written.append(HELD_OUT_PREDICTIONS)
    save_model(
        task.path,
        training.experts,
        provenance,
        history=training.history,
        final_metrics=metrics,
        final_details=details,
        written=written,
    )


def _provenance(task: FinalTraining, training: Training, splits: FinalSplits) -> Provenance:
    return Provenance(
        configuration=to_plain(task.configuration),
        identity=training_identity(task.configuration, splits.description, task.seed),
        seed=task.seed,
        lambdas=scalar_lambdas(task.configuration),
        description=splits.description,
        balpoe_version=task.balpoe_version,
        calibration=task.calibration,
        test_fingerprint=test_fingerprint(splits.test, splits.description),
        search_validation=None if task.validation is None else task.validation.about,
        own_validation=splits.own_validation,
    )


def image_numbers(rows: Sequence[DistributionEvaluation]) -> dict[str, dict[str, float]]:
    """Return the images of every test distribution by name, and whether they are weighted."""
    return {
        row.distribution: {
            "images": row.images,
            "effective_images": row.effective_images,
            "weighted": row.is_weighted,
        }
        for row in rows
    }


def _copy_validation_predictions(task: FinalTraining) -> None:
    """Copy the predictions before the training, because their study may change meanwhile."""
    copy = task.path / VALIDATION_PREDICTIONS
    if task.validation is None:
        copy.unlink(missing_ok=True)  # of an interrupted training of another export
    else:
        task.validation.copy_to(copy)


def evaluate_on(
    logits_nec: torch.Tensor, test: Images, provenance: Provenance
) -> tuple[DistributionEvaluation, ...]:
    """Score logits [N, E, C] of the test images by the priors that they were trained for."""
    return evaluate_distributions(
        logits_nec,
        test.labels_n,
        priors=provenance.priors,
        class_counts=provenance.description.class_counts,
        cost_cc=provenance.cost_cc,
    )


def class_results_on(
    logits_nec: torch.Tensor, test: Images, provenance: Provenance
) -> ResultsByPrior:
    """Return the results of each class of logits [N, E, C] of the test images."""
    return class_results(logits_nec, test.labels_n, priors=provenance.priors)


def refuse_other_model(task: FinalTraining, splits: FinalSplits) -> TrainedModel:
    """Return the finished model of a task after checking that it is the one.

    Raises:
        StorageError: the model is of another configuration, data or seed.
        CorruptFile: it is damaged.
    """
    model = load_model(task.path)
    identity = training_identity(task.configuration, splits.description, task.seed)
    if model.provenance.identity != identity:
        is_earlier = model.provenance.own_validation is None
        hint = _EARLIER_VERSION_HINT if splits.own_validation and is_earlier else ""
        raise StorageError(
            f"{task.path}: holds a model of {OTHER_TRAINING}{hint}; choose another directory with "
            f"--out or remove it"
        )
    return model
