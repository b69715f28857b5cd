"""The training of one repeat of one trial, from its configuration to its result file."""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import torch

from balpoe.atomic_write import write_text_atomically
from balpoe.config import Choice, DataSource, StudySpec, with_parameters
from balpoe.data import SearchSplits, load_search_splits
from balpoe.errors import CorruptFile, StorageError
from balpoe.evaluation.summarising import prediction_summary
from balpoe.parquet_tables import sha256_of
from balpoe.study.storage.host import this_host
from balpoe.study.trials.attempt_check import (
    SupersededError,
    claim,
    is_newest,
    require_newest,
    writing_as_newest,
)
from balpoe.study.trials.attempts_file import add_attempt
from balpoe.study.trials.directory import TrialDirectory
from balpoe.study.trials.measurable_metrics import refuse_unmeasurable_metrics
from balpoe.study.trials.metrics_file import write_metrics
from balpoe.study.trials.objectives import finite_objectives
from balpoe.study.trials.record import Attempt, TrialIdentity
from balpoe.study.trials.result_file import TrialResult, read_result, training_seed, write_result
from balpoe.training.checkpoint import CheckpointDirectory
from balpoe.training.epoch import EpochResult
from balpoe.training.loss_context import scalar_lambdas
from balpoe.training.precision import number_format
from balpoe.training.predictions_file import Predictions, write_predictions
from balpoe.training.summary_file import write_summary
from balpoe.training.training import Training

Course = Generator[EpochResult, None, Mapping[str, float]]
"""A generator of a trial's epochs that returns its objectives. Closing it stops the trial."""


@dataclass(frozen=True, slots=True)
class TrialTask:
    """A repeat of a trial for a worker to run.

    `now` returns the time in Unix seconds, `gpus` are the identifiers of the worker's GPUs.
    """

    spec: StudySpec
    identity: TrialIdentity
    parameters: Mapping[str, Choice]
    directory: TrialDirectory
    now: Callable[[], float] = time.time
    gpus: tuple[str, ...] = ()


class RunTrial(Protocol):
    """A function that runs a trial."""

    def __call__(self, task: TrialTask) -> Course:
        """Begin or resume the trial."""


@dataclass(frozen=True, slots=True)
class SavingTraceback:
    """Runs trials by `run` and writes the traceback of an exception to the trial's files."""

    run: RunTrial

    def __call__(self, task: TrialTask) -> Course:
        """Begin or resume the trial."""
        try:
            return (yield from self.run(task))
        except Exception:
            with suppress(StorageError):
                if is_newest(task.directory, task.identity.attempt):
                    task.directory.create()
                    write_text_atomically(task.directory.failure, traceback.format_exc())
            raise


def run_trial(task: TrialTask) -> Course:
    """Train one repeat of one trial from its newest checkpoint and write its result.

    Closed before its end, it saves a checkpoint. A repeat whose result is on disk is not trained
    again.

    Raises:
        InvalidFields: the parameters are impossible together.
        NonFiniteError: the training diverged, or an objective is missing or not finite.
        StorageError: the trial's directory cannot be written.
        SupersededError: a later attempt at the trial has begun.
        DataError: the data do not define an objective or a constraint.
    """
    known = _recorded_objectives(task)
    if known is not None:
        return known
    started = task.now()
    torch.set_num_threads(task.spec.resources.cpus_per_trial)
    task.directory.create()
    claim(task.directory, task.identity.attempt)
    with writing_as_newest(task.directory, task.identity.attempt):
        attempt = Attempt(task.identity.attempt, started, this_host().name, task.gpus)
        add_attempt(task.directory, attempt)
    configuration = with_parameters(task.spec.base, task.parameters)
    splits = _search_splits(configuration.data)
    refuse_unmeasurable_metrics(task.spec, splits)
    seed = training_seed(task.spec.seed, task.identity.repeat)
    device = torch.device("cuda" if task.spec.resources.gpus_per_trial else "cpu")
    training = Training(
        configuration,
        train=splits.train,
        description=splits.description,
        validation=splits.validation,
        seed=seed,
        device=device,
        checkpoints=CheckpointDirectory(task.directory.checkpoints, task.identity.attempt),
        recalls=task.spec.recalls,
        now=task.now,
    )
    yield from _epochs(training, task)
    objectives = finite_objectives(training.history[-1].metrics, task.spec.objectives)
    files = _write_predictions(training, splits, task)
    result = TrialResult(
        identity=task.identity,
        parameters=task.parameters,
        objectives=objectives,
        seed=seed,
        data_fingerprint=splits.description.fingerprint,
        started=started,
        ended=task.now(),
        files=files,
        class_counts=splits.description.class_counts,
        precision=number_format(configuration.training.precision, device),
    )
    with writing_as_newest(task.directory, task.identity.attempt):
        write_result(task.directory, result)
    return objectives


def _recorded_objectives(task: TrialTask) -> Mapping[str, float] | None:
    """Return the objectives on disk if a driver died after writing and before recording them."""
    try:
        result = read_result(task.directory)
    except CorruptFile:
        return None
    same = result.parameters == task.parameters
    return finite_objectives(result.objectives, task.spec.objectives) if same else None


def _epochs(training: Training, task: TrialTask) -> Generator[EpochResult, None, None]:
    """Yield the epochs; their metrics are written with every checkpoint and at any end.

    At a rung the metrics are written before the epoch is reported, as other trials are compared
    with them. Metrics on disk are replaced by those of the checkpoint before the first epoch: the
    driver reads there which epochs come before it.
    """
    directory, attempt, rungs = task.directory, task.identity.attempt, task.spec.rungs
    if training.history or directory.metrics.exists():
        with writing_as_newest(directory, attempt):
            write_metrics(directory.metrics, training.history)
    try:
        for epoch in training.fit():
            require_newest(directory, attempt)
            if training.saved_epochs == epoch.epoch or epoch.epoch in rungs:
                with writing_as_newest(directory, attempt):
                    write_metrics(directory.metrics, training.history)
            yield epoch
    except GeneratorExit:
        training.save_checkpoint()
        raise
    finally:
        with suppress(SupersededError), writing_as_newest(directory, attempt):
            write_metrics(directory.metrics, training.history)


def _write_predictions(training: Training, splits: SearchSplits, task: TrialTask) -> dict[str, str]:
    """Write predictions and summary; return the sha256 of all files that the result lists."""
    directory = task.directory
    logits_nec = training.predict(splits.validation)
    labels_n = splits.validation.labels_n.cpu()
    summary = prediction_summary(
        logits_nec,
        labels_n,
        split="val",
        class_names=splits.description.class_names,
        class_counts=splits.description.class_counts,
        priors=training.priors,
        lambdas=scalar_lambdas(training.configuration),
        metrics=(*task.spec.objectives, *task.spec.constraints),
    )
    with writing_as_newest(directory, task.identity.attempt):
        write_predictions(directory.predictions, Predictions(logits_nec.numpy(), labels_n.numpy()))
        write_summary(directory.summary, summary)
    written = (directory.metrics, directory.predictions, directory.summary, directory.attempts)
    return {path.name: sha256_of(path) for path in written}


@functools.lru_cache(maxsize=1)
def _search_splits(data: DataSource) -> SearchSplits:
    """Return the splits, which a worker loads once for all its trials."""
    return load_search_splits(data)
