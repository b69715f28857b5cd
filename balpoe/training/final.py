"""Final training: one seed of a configuration, from the whole training set to a saved model.

The test set is read once, when the last epoch is done.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from balpoe.atomic_write import ensure_writable
from balpoe.config import Configuration, to_plain
from balpoe.data.splits import DataDescription, FinalSplits, Images
from balpoe.errors import StorageError
from balpoe.evaluation import WHOLE_TEST, DistributionEvaluation, evaluate_distributions
from balpoe.priors import class_prior
from balpoe.training.checkpoint import CheckpointDirectory
from balpoe.training.epoch import EpochResult
from balpoe.training.model_card import write_model_card
from balpoe.training.model_directory import (
    CARD,
    OUTSIDE_A_STUDY,
    Calibration,
    Provenance,
    TrainedModel,
    is_model,
    load_model,
    save_model,
)
from balpoe.training.training import Training, training_identity
from balpoe.training.validation import bayes_scalars


def train_final(
    configuration: Configuration,
    splits: FinalSplits,
    *,
    seed: int,
    path: Path,
    device: torch.device,
    balpoe_version: str,
    calibration: Calibration = OUTSIDE_A_STUDY,
    on_epoch: Callable[[EpochResult], None],
) -> TrainedModel:
    """Train one seed into the model directory `path`, or take up what is there.

    A finished model is returned as it is; an unfinished training continues from its newest
    checkpoint. `calibration` is kept with the model. `on_epoch` is called with each epoch's
    result, those of before included.

    Raises:
        StorageError: `path` holds a model of another configuration, data or seed, or cannot
            be written.
        CorruptFile: what is there is damaged, or the checkpoints are of another training.
        NonFiniteError: the loss is not finite.
    """
    if is_model(path):
        return _finished(path, configuration, splits.description, seed)
    ensure_writable(path)
    checkpoints = path / "checkpoints"
    training = Training(
        configuration,
        train=splits.train,
        description=splits.description,
        seed=seed,
        device=device,
        checkpoints=CheckpointDirectory(checkpoints),
    )
    for result in training.history:
        on_epoch(result)
    try:
        for result in training.fit():
            on_epoch(result)
    except KeyboardInterrupt:
        training.save_checkpoint()
        raise
    provenance = Provenance(
        configuration=to_plain(configuration),
        identity=training_identity(configuration, splits.description, seed),
        seed=seed,
        lambdas=training.lambdas,
        description=splits.description,
        balpoe_version=balpoe_version,
        calibration=calibration,
    )
    logits_nec = training.predict(splits.test)
    evaluations = evaluate_on(logits_nec, splits.test, provenance)
    metrics = {name: value for row in evaluations for name, value in row.scalars().items()}
    prior_c = class_prior(splits.description.class_counts)
    metrics |= bayes_scalars(logits_nec, splits.test, prior_c, training.lambdas, WHOLE_TEST)
    save_model(path, training.experts, provenance, history=training.history, final_metrics=metrics)
    shutil.rmtree(checkpoints, ignore_errors=True)
    model = load_model(path)
    write_model_card(path, [model])
    return model


def evaluate_final(
    model: TrainedModel, test: Images, device: torch.device
) -> tuple[DistributionEvaluation, ...]:
    """The final evaluation: the test set and its shifts, without and with the prior known."""
    return evaluate_on(model.predict(test, device), test, model.provenance)


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
    )


def _finished(
    path: Path, configuration: Configuration, description: DataDescription, seed: int
) -> TrainedModel:
    model = load_model(path)
    if model.provenance.identity != training_identity(configuration, description, seed):
        raise StorageError(
            f"{path}: holds a model of another configuration, data or seed; choose another "
            f"directory with --out or remove it"
        )
    if not (path / CARD).exists():
        write_model_card(path, [model])
    return model
