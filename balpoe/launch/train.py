"""The command `train`: train and save a model for each seed of one or several configurations."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, overload

import torch

import balpoe
from balpoe.atomic_write import ensure_writable, remove_interrupted_writes
from balpoe.cluster.address import LOCAL
from balpoe.config import DataSource
from balpoe.config.mixing import idle_mixer
from balpoe.data import FinalSplits, load_final_splits
from balpoe.data.required_files import needed_sizes
from balpoe.errors import UserError
from balpoe.launch import RUNS
from balpoe.launch.device_option import choose_device
from balpoe.launch.logged_models import log_models, refuse_bad_name
from balpoe.launch.planned_trainings import PlannedTraining, planned_trainings
from balpoe.launch.search_temperatures import NOTHING, passed_on_by_search
from balpoe.reporting.training_display import TrainingProgress, training_progress
from balpoe.study.storage.lease import hold_lease
from balpoe.training.costs import refuse_other_classes
from balpoe.training.epoch import EpochResult
from balpoe.training.final_training import (
    CHECKPOINTS,
    FinalTraining,
    refuse_other_model,
    train_final,
)
from balpoe.training.model_card import write_model_card
from balpoe.training.model_directory import load_model
from balpoe.training.model_files import (
    VALIDATION_PREDICTIONS,
    is_model,
    seed_directories,
    seed_directory,
)
from balpoe.training.search_validation import ValidationFile

if TYPE_CHECKING:
    from balpoe.cluster.seed_tasks import SeedUpdate

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainedSeeds:
    """The models of a final training.

    Attributes:
        configuration_file: The configuration.
        path: The directory of the models `seed_<s>`.
        seeds: The seeds.
        unlogged: The reason why MLflow lacks a model, or None if it has all.
    """

    configuration_file: Path
    path: Path
    seeds: tuple[int, ...]
    unlogged: str | None = None

    @property
    def models(self) -> tuple[Path, ...]:
        """The model directory of each seed."""
        return tuple(seed_directory(self.path, seed) for seed in self.seeds)


@overload
def train(
    configuration_file: Path | str,
    seeds: Sequence[int],
    *,
    runs: Path | str = ...,
    out: Path | str | None = ...,
    device: str | None = ...,
    address: str = ...,
    cpus: int = ...,
    gpus: float | None = ...,
    tracking_uri: str | None = ...,
    register: str | None = ...,
    first_stage: Path | str | None = ...,
    on_progress: Callable[[TrainingProgress], None] = ...,
) -> TrainedSeeds: ...


@overload
def train(
    configuration_file: list[Path] | list[str] | tuple[Path | str, ...],
    seeds: Sequence[int],
    *,
    runs: Path | str = ...,
    out: Path | str | None = ...,
    device: str | None = ...,
    address: str = ...,
    cpus: int = ...,
    gpus: float | None = ...,
    tracking_uri: str | None = ...,
    register: str | None = ...,
    first_stage: Path | str | None = ...,
    on_progress: Callable[[TrainingProgress], None] = ...,
) -> tuple[TrainedSeeds, ...]: ...


def train(
    configuration_file: Path | str | Sequence[Path | str],
    seeds: Sequence[int],
    *,
    runs: Path | str = RUNS,
    out: Path | str | None = None,
    device: str | None = None,
    address: str = LOCAL,
    cpus: int = 1,
    gpus: float | None = None,
    tracking_uri: str | None = None,
    register: str | None = None,
    first_stage: Path | str | None = None,
    on_progress: Callable[[TrainingProgress], None] = lambda progress: None,
) -> TrainedSeeds | tuple[TrainedSeeds, ...]:
    """Train one or several configurations on the whole training set, once per seed.

    Several configurations are trained one after the other, on a cluster in parallel; all files are
    read before any training begins. A second call continues an interrupted training and leaves
    finished seeds as they are. The models are logged to MLflow, those of an export in the
    experiment of its study; if logging fails, the models are saved all the same.

    Args:
        configuration_file: The configuration, or a list or tuple of configurations.
        seeds: The seeds.
        runs: The directory of the studies; models are below `models` in it.
        out: Another directory for the models; with several configurations it has a directory for
            each. On a cluster it must be shared by all nodes.
        device: The device; by default a GPU if there is one.
        address: A Ray cluster that trains the seeds in parallel: HOST:PORT of its head, or `auto`
            for the cluster of this host.
        cpus: CPUs of each seed on a cluster.
        gpus: GPUs of each seed on a cluster; by default 1 if the cluster has any.
        tracking_uri: An MLflow store; by default that of the study.
        register: A registered model of MLflow of which each seed becomes a version; the first seed
            is its `champion`, since no seed has a validation score and test scores do not choose.
        first_stage: A model, or the directory of those of the seeds, whose training is the first
            stage: only the second stage is trained.
        on_progress: Called after every epoch.

    Returns:
        The models of the configuration, or for a list or tuple those of each configuration.

    Raises:
        UserError: a file, the data or a directory is invalid.
    """
    if isinstance(configuration_file, str | Path):
        files: Sequence[Path | str] = [configuration_file]
    else:
        files = configuration_file
    _refuse_bad_seeds(seeds)
    if register is not None:
        refuse_bad_name(register)
        if len(files) > 1:
            raise UserError(f"--register: takes one configuration, got {len(files)}")
    if address != LOCAL and device is not None:
        raise UserError("--device: seeds on a cluster use the GPUs of --gpus")
    planned = planned_trainings(
        [Path(file) for file in files],
        runs=runs,
        out=None if out is None else Path(out),
        tracking_uri=tracking_uri,
    )
    for training in planned:
        ensure_writable(training.path)
    with ExitStack() as held:
        for training in planned:
            held.enter_context(hold_lease(training.path / "lease"))
            _remove_leftovers(training, seeds)
        labels = _labels(planned)
        begun = [
            _Training(
                training,
                held.enter_context(_tasks(training, seeds, first_stage)),
                _Progress(training.configuration.epochs, label, on_progress),
                register,
            )
            for training, label in zip(planned, labels, strict=True)
        ]
        if address == LOCAL:
            trained = _train_here(begun, choose_device(device))
        else:
            trained = _train_on_cluster(begun, address, cpus, gpus)
    return trained[0] if isinstance(configuration_file, str | Path) else trained


def _remove_leftovers(training: PlannedTraining, seeds: Sequence[int]) -> None:
    """Delete the files that a killed process could not delete; the lease must be held."""
    _copy_in(training.path).unlink(missing_ok=True)
    models = [seed_directory(training.path, seed) for seed in seeds]
    for path in (training.path, *models, *(model / CHECKPOINTS for model in models)):
        remove_interrupted_writes(path)


def _labels(planned: Sequence[PlannedTraining]) -> list[str]:
    """Return the name and place of each configuration among several; none for a single one."""
    if len(planned) == 1:
        return [""]
    return [
        f"{training.file.stem} ({place} of {len(planned)})"
        for place, training in enumerate(planned, start=1)
    ]


@contextmanager
def _tasks(
    training: PlannedTraining, seeds: Sequence[int], first_stage: Path | str | None
) -> Iterator[list[FinalTraining]]:
    """Return the task of each seed; their files from the search are kept until the end."""
    paths = [seed_directory(training.path, seed) for seed in seeds]
    search = NOTHING
    if not all(map(is_model, paths)):
        search = passed_on_by_search(training.file, training.configuration)
    with _copied(search.validation, training.path) as validation:
        yield [
            FinalTraining(
                training.configuration,
                seed,
                path,
                balpoe.__version__,
                search.calibration,
                validation,
                first_stage=None if first_stage is None else Path(first_stage).resolve(),
            )
            for seed, path in zip(seeds, paths, strict=True)
        ]


@contextmanager
def _copied(validation: ValidationFile | None, directory: Path) -> Iterator[ValidationFile | None]:
    """Copy the predictions of a trial for the time of the training.

    Nodes of a cluster may lack the directory of the study, and the study may change meanwhile.
    """
    if validation is None:
        yield None
        return
    copy = _copy_in(directory.resolve())
    validation.copy_to(copy)
    try:
        yield replace(validation, path=copy)
    finally:
        copy.unlink(missing_ok=True)


def _copy_in(directory: Path) -> Path:
    return directory / f".{VALIDATION_PREDICTIONS}"


@dataclass(eq=False)
class _Progress:
    """Collects the epochs of each seed and reports the progress after each epoch."""

    _epochs: int
    _label: str
    _on_progress: Callable[[TrainingProgress], None]
    _images: dict[int, int] = field(default_factory=dict)
    _histories: dict[int, list[EpochResult]] = field(default_factory=dict)

    def begin(self, seed: int, images: int, remarks: Sequence[str]) -> None:
        """Begin a seed, or begin it again: each attempt reports the epochs before it too."""
        if not self._images:  # all seeds have the same data
            for remark in remarks:
                logger.warning("%s", remark)
        self._images[seed] = images
        self._histories[seed] = []

    def add(self, seed: int, result: EpochResult, *, seeds: Sequence[int]) -> None:
        """Report an epoch of `seed`, one of `seeds` that are trained one after the other."""
        history = self._histories[seed]
        history.append(result)
        progress = training_progress(
            history, seed=seed, seeds=seeds, epochs=self._epochs, images=self._images[seed]
        )
        self._on_progress(replace(progress, configuration=self._label))


@dataclass(frozen=True, eq=False, slots=True)
class _Training:
    """A planned training with the tasks of its seeds and its progress."""

    planned: PlannedTraining
    tasks: list[FinalTraining]
    progress: _Progress
    register: str | None = None

    def finish(self) -> TrainedSeeds:
        """Write the card of all seeds, log their models and return them."""
        planned = self.planned
        trained = TrainedSeeds(planned.file, planned.path, tuple(task.seed for task in self.tasks))
        _write_common_card(trained.path, trained.models[0])
        unlogged = log_models(planned.store, planned.file, trained.models, self.register)
        return replace(trained, unlogged=unlogged)


class _FinalSplits:
    """Loads splits, and keeps the last ones: configurations of one study have the same data."""

    def __init__(self) -> None:
        self._last: tuple[DataSource, FinalSplits] | None = None

    def of(self, data: DataSource) -> FinalSplits:
        """Return the splits of `data`."""
        if self._last is None or self._last[0] != data:
            self._last = None  # two data sets may not fit into memory
            self._last = data, load_final_splits(data)
        return self._last[1]


def _train_here(begun: Sequence[_Training], device: torch.device) -> tuple[TrainedSeeds, ...]:
    """Train the configurations one after the other; the first error ends all."""
    final_splits = _FinalSplits()
    if len(begun) > 1:
        for training in begun:
            _check_data_costs_and_models(training, final_splits)
    trained = []
    for training in begun:
        _train_seeds(training, final_splits, device)
        trained.append(training.finish())
    return tuple(trained)


def _train_seeds(training: _Training, final_splits: _FinalSplits, device: torch.device) -> None:
    # a function of its own, because its splits must be released before the next ones are loaded
    splits = final_splits.of(training.planned.configuration.data)
    _check_costs(training, splits)
    seeds = [task.seed for task in training.tasks]
    _warn_of_idle_settings(training.planned)
    for task in training.tasks:
        training.progress.begin(task.seed, len(splits.train), splits.remarks)
        on_epoch = partial(training.progress.add, task.seed, seeds=seeds)
        train_final(task, splits, device, on_epoch)


def _warn_of_idle_settings(planned: PlannedTraining) -> None:
    configuration = planned.configuration
    for warning in configuration.second_stage.warnings(configuration):
        logger.warning("%s", warning)
    # no refusal: a trial that drew α = 0, or a known point, is exported with its mixer
    idle = idle_mixer(configuration.mixing, configuration.mixup.alpha)
    if idle is not None:
        logger.warning("mixing: %s", idle)


def _check_data_costs_and_models(training: _Training, final_splits: _FinalSplits) -> None:
    """Refuse what would fail only after the trainings of the configurations before.

    That is missing data, costs of other classes, and existing models of another training.
    """
    configuration = training.planned.configuration
    needed_sizes(configuration)
    if configuration.cost is not None:
        _check_costs(training, final_splits.of(configuration.data))
    for task in training.tasks:
        if is_model(task.path):
            splits = final_splits.of(task.configuration.data)
            refuse_other_model(task, splits)


def _check_costs(training: _Training, splits: FinalSplits) -> None:
    """Refuse costs of other classes; the message names the configuration file."""
    cost = training.planned.configuration.cost
    if cost is not None:
        place = f"{training.planned.file} cost"
        refuse_other_classes(cost, splits.description.class_names, place)


def _train_on_cluster(
    begun: Sequence[_Training], address: str, cpus: int, gpus: float | None
) -> tuple[TrainedSeeds, ...]:
    # these import ray, which a training on this machine does not need
    from balpoe.cluster.driver_connection import connected
    from balpoe.cluster.preflight import TrialNeeds, most_gpus, refuse_unfit_nodes
    from balpoe.cluster.seed_tasks import TrainingSet, train_seeds

    # nodes have other working directories
    tasks = [replace(task, path=task.path.resolve()) for each in begun for task in each.tasks]
    trainings = {task.path.resolve(): each for each in begun for task in each.tasks}

    def on_update(task: FinalTraining, update: SeedUpdate) -> None:
        progress = trainings[task.path].progress
        if isinstance(update, TrainingSet):
            progress.begin(task.seed, update.images, update.remarks)
        else:
            progress.add(task.seed, update, seeds=(task.seed,))

    with connected(address):
        gpus = float(most_gpus() > 0) if gpus is None else gpus
        needs = [
            TrialNeeds(each.planned.configuration, each.planned.path.resolve(), cpus, gpus)
            for each in begun
        ]
        for remark in dict.fromkeys(r for each in needs for r in refuse_unfit_nodes(each).remarks):
            logger.warning("%s", remark)
        for each in begun:
            _warn_of_idle_settings(each.planned)
        failures = train_seeds(tasks, cpus=cpus, gpus=gpus, on_update=on_update)
    failed = [each for each in begun if any(trainings[path] is each for path in failures)]
    trained = tuple(each.finish() for each in begun if each not in failed)
    if failures:
        listed = "\n".join(
            f"  {_seed_name(task, several=len(begun) > 1)}: {failures[task.path]}"
            for task in tasks
            if task.path in failures
        )
        raise UserError(f"seeds that failed, while the others have their models:\n{listed}")
    return trained


def _seed_name(task: FinalTraining, *, several: bool) -> str:
    name = f"seed {task.seed}"
    return f"{task.path.parent.name} {name}" if several else name


def _write_common_card(path: Path, model: Path) -> None:
    """Write the model card of all seeds with the configuration and data of `model`."""
    wanted = load_model(model).provenance
    models = [load_model(seed) for seed in seed_directories(path)]
    write_model_card(
        path,
        [
            model
            for model in models
            if model.provenance.configuration == wanted.configuration
            and model.provenance.description == wanted.description
        ],
    )


def _refuse_bad_seeds(seeds: Sequence[int]) -> None:
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise UserError(
            f"--seeds: must be different numbers from 0 up, such as 1,2,3, got "
            f"{','.join(map(str, seeds)) or 'none'}"
        )
