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
from balpoe.data.description import test_fingerprint
from balpoe.data.held_out import held_out_images
from balpoe.data.image_locations import positions
from balpoe.data.splits import FinalSplits, Images
from balpoe.errors import StorageError
from balpoe.evaluation.class_results import ResultsByPrior, as_plain, class_results
from balpoe.evaluation.distributions import (
    WHOLE_TEST,
    DistributionEvaluation,
    evaluate_distributions,
)
from balpoe.method.priors import class_prior
from balpoe.training.checkpoint import CheckpointDirectory
from balpoe.training.epoch import EpochResult
from balpoe.training.model_card import write_model_card
from balpoe.training.model_directory import (
    CARD,
    HELD_OUT_PREDICTIONS,
    OUTSIDE_A_STUDY,
    TEST_PREDICTIONS,
    VALIDATION_PREDICTIONS,
    Calibration,
    Provenance,
    TrainedModel,
    is_model,
    load_model,
    save_model,
)
from balpoe.training.precision import INFERENCE
from balpoe.training.predictions_file import Predictions, write_predictions
from balpoe.training.search_validation import ValidationFile
from balpoe.training.test_predictions import write_test_predictions
from balpoe.training.training import Training, training_identity
from balpoe.training.validation_metrics import bayes_scalars


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
    """

    configuration: Configuration
    seed: int
    path: Path
    balpoe_version: str
    calibration: Calibration = OUTSIDE_A_STUDY
    validation: ValidationFile | None = None
    attempt: int = 0


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
        DataError: the costs are not those of the classes.
    """
    path = task.path
    identity = training_identity(task.configuration, splits.description, task.seed)
    if is_model(path):
        model = refuse_other_model(task, splits)
        if not (path / CARD).exists():
            write_model_card(path, [model])
        return
    ensure_writable(path)
    _copy_validation_predictions(task)
    checkpoints = path / "checkpoints"
    training = Training(
        task.configuration,
        train=splits.train,
        description=splits.description,
        seed=task.seed,
        device=device,
        checkpoints=CheckpointDirectory(checkpoints, task.attempt),
    )
    yield from training.history
    try:
        yield from training.fit()
    except (KeyboardInterrupt, GeneratorExit):
        training.save_checkpoint()
        raise
    provenance = Provenance(
        configuration=to_plain(task.configuration),
        identity=identity,
        seed=task.seed,
        lambdas=training.lambdas,
        description=splits.description,
        balpoe_version=task.balpoe_version,
        calibration=task.calibration,
        test_fingerprint=test_fingerprint(splits.test, splits.description),
        search_validation=None if task.validation is None else task.validation.about,
        own_validation=splits.own_validation,
    )
    logits_nec = training.predict(splits.test, INFERENCE)
    evaluations = evaluate_on(logits_nec, splits.test, provenance)
    metrics = {name: value for row in evaluations for name, value in row.scalars().items()}
    prior_c = class_prior(splits.description.class_counts)
    metrics |= bayes_scalars(logits_nec, splits.test, prior_c, training.lambdas, WHOLE_TEST)
    write_test_predictions(
        path / TEST_PREDICTIONS,
        logits_nec,
        splits.test.labels_n,
        splits.test_locations or positions(len(splits.test)),
        splits.description,
        identity=identity,
    )
    save_model(
        path,
        training.experts,
        provenance,
        history=training.history,
        final_metrics=metrics,
        final_details={
            "distributions": image_numbers(evaluations),
            "per_class": as_plain(
                class_results_on(logits_nec, splits.test, provenance),
                splits.description.class_names,
            ),
        },
        written=[
            TEST_PREDICTIONS,
            *([VALIDATION_PREDICTIONS] if task.validation is not None else []),
            *_write_held_out_predictions(task, training, splits),
        ],
    )
    shutil.rmtree(checkpoints, ignore_errors=True)
    write_model_card(path, [load_model(path)])


def image_numbers(rows: Sequence[DistributionEvaluation]) -> dict[str, dict[str, float]]:
    """Return the images and the effective sample size of every test distribution, by name."""
    return {
        row.distribution: {"images": row.images, "effective_images": row.effective_images}
        for row in rows
    }


def _write_held_out_predictions(
    task: FinalTraining, training: Training, splits: FinalSplits
) -> list[str]:
    """Write the predictions for images that the training left out; return the names of files."""
    images = held_out_images(task.configuration.data, splits)
    if images is None:
        return []
    logits_nec = training.predict(images, INFERENCE).numpy()
    predictions = Predictions(logits_nec, images.labels_n.numpy())
    write_predictions(task.path / HELD_OUT_PREDICTIONS, predictions)
    return [HELD_OUT_PREDICTIONS]


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
    """Score logits [N, E, C] of the test images by the prior and λs they were trained with."""
    class_counts = provenance.description.class_counts
    return evaluate_distributions(
        logits_nec,
        test.labels_n,
        prior_c=class_prior(class_counts),
        lambdas=provenance.lambdas,
        class_counts=class_counts,
        cost_cc=provenance.cost_cc,
    )


def class_results_on(
    logits_nec: torch.Tensor, test: Images, provenance: Provenance
) -> ResultsByPrior:
    """Return the results of each class of logits [N, E, C] of the test images."""
    return class_results(
        logits_nec,
        test.labels_n,
        prior_c=class_prior(provenance.description.class_counts),
        lambdas=provenance.lambdas,
    )


def refuse_other_model(task: FinalTraining, splits: FinalSplits) -> TrainedModel:
    """Return the finished model of a task after checking that it is the one.

    Raises:
        StorageError: the model is of another configuration, data or seed.
        CorruptFile: it is damaged.
    """
    model = load_model(task.path)
    identity = training_identity(task.configuration, splits.description, task.seed)
    if model.provenance.identity != identity:
        hint = ""
        if splits.own_validation and model.provenance.own_validation is None:
            hint = (
                " (earlier versions trained on the training split alone, as "
                "data.final_uses_validation: false does)"
            )
        raise StorageError(
            f"{task.path}: holds a model of another configuration, data or seed{hint}; choose "
            f"another directory with --out or remove it"
        )
    return model
