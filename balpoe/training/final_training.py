"""Final training: one seed of a configuration, from the whole training set to a saved model.

The test set is read once, when the last epoch is done.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import torch

from balpoe.atomic_write import ensure_writable
from balpoe.config import Configuration, to_plain
from balpoe.data.description import test_fingerprint
from balpoe.data.splits import DataDescription, FinalSplits, Images
from balpoe.errors import StorageError
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
    """Train one seed as `final_epochs` does, and call `on_epoch` with each epoch's result."""
    epochs = final_epochs(
        configuration,
        splits,
        seed=seed,
        path=path,
        device=device,
        balpoe_version=balpoe_version,
        calibration=calibration,
    )
    with closing(epochs):
        for result in epochs:
            on_epoch(result)
    return load_model(path)


def final_epochs(
    configuration: Configuration,
    splits: FinalSplits,
    *,
    seed: int,
    path: Path,
    device: torch.device,
    balpoe_version: str,
    calibration: Calibration = OUTSIDE_A_STUDY,
    attempt: int = 0,
) -> Generator[EpochResult, None, None]:
    """The epochs of one seed, those of before included; then its model is in `path`.

    What is there is taken up: a finished model is left as it is, an unfinished training
    continues from its newest checkpoint. If it is closed before its end, it saves one.
    `calibration` is kept with the model; `attempt` tells restarts after lost workers apart.

    Raises:
        StorageError: `path` holds a model of another configuration, data or seed, or cannot
            be written.
        CorruptFile: what is there is damaged, or the checkpoints are of another training.
        NonFiniteError: the loss is not finite.
    """
    if is_model(path):
        _refuse_another(path, configuration, splits.description, seed)
        return
    ensure_writable(path)
    checkpoints = path / "checkpoints"
    training = Training(
        configuration,
        train=splits.train,
        description=splits.description,
        seed=seed,
        device=device,
        checkpoints=CheckpointDirectory(checkpoints, attempt),
    )
    yield from training.history
    try:
        yield from training.fit()
    except (KeyboardInterrupt, GeneratorExit):
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
        test_fingerprint=test_fingerprint(splits.test, splits.description),
    )
    logits_nec = training.predict(splits.test)
    evaluations = evaluate_on(logits_nec, splits.test, provenance)
    metrics = {name: value for row in evaluations for name, value in row.scalars().items()}
    prior_c = class_prior(splits.description.class_counts)
    metrics |= bayes_scalars(logits_nec, splits.test, prior_c, training.lambdas, WHOLE_TEST)
    save_model(path, training.experts, provenance, history=training.history, final_metrics=metrics)
    shutil.rmtree(checkpoints, ignore_errors=True)
    write_model_card(path, [load_model(path)])


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


def _refuse_another(
    path: Path, configuration: Configuration, description: DataDescription, seed: int
) -> None:
    model = load_model(path)
    if model.provenance.identity != training_identity(configuration, description, seed):
        raise StorageError(
            f"{path}: holds a model of another configuration, data or seed; choose another "
            f"directory with --out or remove it"
        )
    if not (path / CARD).exists():
        write_model_card(path, [model])
