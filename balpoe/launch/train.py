"""The command `train`: train and save a model for each seed of a configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import balpoe
from balpoe.atomic_write import ensure_writable
from balpoe.cluster.address import LOCAL
from balpoe.data import load_final_splits
from balpoe.errors import UserError
from balpoe.exporting.export_files import exporting_study
from balpoe.files import load_configuration
from balpoe.launch import RUNS
from balpoe.launch.device_option import choose_device
from balpoe.launch.runs import is_remote
from balpoe.launch.search_temperatures import NOTHING, passed_on_by_search
from balpoe.launch.study_file import with_absolute_paths
from balpoe.launch.tracking import log_models, model_store
from balpoe.reporting.training_display import TrainingProgress, training_progress
from balpoe.study.storage.lease import hold_lease
from balpoe.training.epoch import EpochResult
from balpoe.training.final_training import FinalTraining, train_final
from balpoe.training.model_card import write_model_card
from balpoe.training.model_directory import (
    VALIDATION_PREDICTIONS,
    is_model,
    load_model,
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
        path: The directory of the models `seed_<s>`.
        seeds: The seeds.
        unlogged: The reason why MLflow lacks a model, or None if it has all.
    """

    path: Path
    seeds: tuple[int, ...]
    unlogged: str | None = None

    @property
    def models(self) -> tuple[Path, ...]:
        """The model directory of each seed."""
        return tuple(seed_directory(self.path, seed) for seed in self.seeds)


def train(
    configuration_file: Path | str,
    seeds: Sequence[int],
    *,
    runs: Path | str = RUNS,
    out: Path | str | None = None,
    device: str | None = None,
    address: str = LOCAL,
    cpus: int = 1,
    gpus: float | None = None,
    tracking_uri: str | None = None,
    on_progress: Callable[[TrainingProgress], None] = lambda progress: None,
) -> TrainedSeeds:
    """Train a configuration on the whole training set, once per seed.

    A second call continues an interrupted training and leaves finished seeds as they are. The
    models are logged to MLflow, those of an export in the experiment of its study; if logging
    fails, the models are saved all the same.

    Args:
        configuration_file: The configuration.
        seeds: The seeds.
        runs: The directory of the studies; models are below `models` in it.
        out: Another directory for the models; on a cluster it must be shared by all nodes.
        device: The device; by default a GPU if there is one.
        address: A Ray cluster that trains the seeds in parallel: HOST:PORT of its head, or `auto`
            for the cluster of this host.
        cpus: CPUs of each seed on a cluster.
        gpus: GPUs of each seed on a cluster; by default 1 if the cluster has any.
        tracking_uri: An MLflow store; by default that of the study.
        on_progress: Called after every epoch.

    Raises:
        UserError: the file, the data or the directory is invalid.
    """
    _refuse_bad_seeds(seeds)
    file = Path(configuration_file)
    configuration = with_absolute_paths(load_configuration(file))
    if address != LOCAL and device is not None:
        raise UserError("--device: seeds on a cluster use the GPUs of --gpus")
    if is_remote(runs):
        if out is None:
            raise UserError(
                f"--out: name a directory for the models; --runs is {runs}, which holds only "
                f"studies"
            )
        runs = RUNS
    trained = TrainedSeeds(Path(out) if out else default_output(file, Path(runs)), tuple(seeds))
    store = model_store(file, Path(runs), tracking_uri)
    ensure_writable(trained.path)
    with hold_lease(trained.path / "lease"):
        search = NOTHING
        if not all(map(is_model, trained.models)):
            search = passed_on_by_search(file, configuration)
        with _copied(search.validation, trained.path) as validation:
            tasks = [
                FinalTraining(
                    configuration, seed, path, balpoe.__version__, search.calibration, validation
                )
                for seed, path in zip(trained.seeds, trained.models, strict=True)
            ]
            if address == LOCAL:
                _train_here(tasks, choose_device(device), on_progress)
            else:
                _train_on_cluster(tasks, address, cpus, gpus, on_progress)
        _write_common_card(trained.path, trained.models[0])
        return replace(trained, unlogged=log_models(store, file, trained.models))


@contextmanager
def _copied(validation: ValidationFile | None, directory: Path) -> Iterator[ValidationFile | None]:
    """Copy the predictions of a trial for the time of the training.

    Nodes of a cluster may lack the directory of the study, and the study may change meanwhile.
    """
    if validation is None:
        yield None
        return
    copy = directory.resolve() / f".{VALIDATION_PREDICTIONS}"
    validation.copy_to(copy)
    try:
        yield replace(validation, path=copy)
    finally:
        copy.unlink(missing_ok=True)


@dataclass(eq=False)
class _Progress:
    """Collects the epochs of each seed and reports the progress after each epoch."""

    _epochs: int
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
        self._on_progress(
            training_progress(
                history, seed=seed, seeds=seeds, epochs=self._epochs, images=self._images[seed]
            )
        )


def _train_here(
    tasks: Sequence[FinalTraining],
    device: torch.device,
    on_progress: Callable[[TrainingProgress], None],
) -> None:
    configuration = tasks[0].configuration
    progress = _Progress(configuration.training.epochs, on_progress)
    splits = load_final_splits(configuration.data)
    seeds = [task.seed for task in tasks]
    for task in tasks:
        progress.begin(task.seed, len(splits.train), splits.remarks)
        train_final(task, splits, device, partial(progress.add, task.seed, seeds=seeds))


def _train_on_cluster(
    tasks: Sequence[FinalTraining],
    address: str,
    cpus: int,
    gpus: float | None,
    on_progress: Callable[[TrainingProgress], None],
) -> None:
    # these import ray, which a training on this machine does not need
    from balpoe.cluster.driver_connection import connected
    from balpoe.cluster.preflight import TrialNeeds, most_gpus, refuse_unfit_nodes
    from balpoe.cluster.seed_tasks import TrainingSet, train_seeds

    configuration = tasks[0].configuration
    directory = tasks[0].path.parent.resolve()  # nodes have other working directories
    tasks = [replace(task, path=directory / task.path.name) for task in tasks]
    progress = _Progress(configuration.training.epochs, on_progress)

    def on_update(seed: int, update: SeedUpdate) -> None:
        if isinstance(update, TrainingSet):
            progress.begin(seed, update.images, update.remarks)
        else:
            progress.add(seed, update, seeds=(seed,))

    with connected(address):
        gpus = float(most_gpus() > 0) if gpus is None else gpus
        needs = TrialNeeds(configuration, directory, cpus, gpus)
        for remark in refuse_unfit_nodes(needs).remarks:
            logger.warning("%s", remark)
        failures = train_seeds(tasks, cpus=cpus, gpus=gpus, on_update=on_update)
    if failures:
        listed = "\n".join(f"  seed {seed}: {reason}" for seed, reason in failures.items())
        raise UserError(f"seeds that failed, while the others have their models:\n{listed}")


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


def default_output(configuration_file: Path, runs: Path = RUNS) -> Path:
    """Return `models/<file>` in `runs`; for an exported file with the study's name in front."""
    name = configuration_file.stem
    study = exporting_study(configuration_file)
    return runs / "models" / (name if study is None else f"{study.path.name}_{name}")


def _refuse_bad_seeds(seeds: Sequence[int]) -> None:
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise UserError(
            f"--seeds: must be different numbers from 0 up, such as 1,2,3, got "
            f"{','.join(map(str, seeds)) or 'none'}"
        )
