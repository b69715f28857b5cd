"""The verb `train`: from a configuration file to a saved model for each seed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

import balpoe
from balpoe.atomic_write import ensure_writable
from balpoe.cluster.address import LOCAL
from balpoe.config import Configuration
from balpoe.data import load_final_splits
from balpoe.errors import UserError
from balpoe.files import load_configuration
from balpoe.launch import RUNS
from balpoe.launch.absolute_paths import with_absolute_paths
from balpoe.launch.device_option import chosen_device
from balpoe.launch.model_logging import log_models
from balpoe.launch.runs import is_remote
from balpoe.launch.search_calibration import carried_calibration
from balpoe.launch.tracking import model_store
from balpoe.reporting.training_display import TrainingProgress, training_progress
from balpoe.study.storage.lease import hold_lease
from balpoe.training.epoch import EpochResult
from balpoe.training.final_training import train_final
from balpoe.training.model_card import write_model_card
from balpoe.training.model_directory import (
    OUTSIDE_A_STUDY,
    Calibration,
    is_model,
    load_model,
    seed_directories,
    seed_directory,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainedSeeds:
    """Where the models of a final training are: `path` above `seed_<s>` for each seed.

    `unlogged` is the reason why MLflow lacks one of them, None where it has all.
    """

    path: Path
    seeds: tuple[int, ...]
    unlogged: str | None = None

    @property
    def models(self) -> tuple[Path, ...]:
        """The model directory of each seed."""
        return tuple(seed_directory(self.path, seed) for seed in self.seeds)

    @property
    def by_seed(self) -> tuple[tuple[int, Path], ...]:
        """Each seed with the directory of its model."""
        return tuple(zip(self.seeds, self.models, strict=True))


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

    Calling it again continues what was interrupted and leaves finished seeds as they are.
    The models are logged to MLflow, those of an export in the experiment of its study; where
    that fails they are there all the same. `tracking_uri` names another store than the
    study's, `on_progress` is called after every epoch.

    At the `address` of a cluster (HOST:PORT of its head, or `auto` for that of this host) the
    seeds are trained side by side, each with `cpus` and `gpus` (by default one GPU where the
    cluster has any); `out` must be on storage that all its nodes share.

    Raises:
        UserError: the file, the data or the directory is at fault; the message says how.
    """
    _refuse_bad_seeds(seeds)
    file = Path(configuration_file)
    configuration = with_absolute_paths(load_configuration(file))
    if address != LOCAL and device is not None:
        raise UserError("--device: seeds on a cluster compute on the GPUs that --gpus asks for")
    if is_remote(runs):
        if out is None:
            raise UserError(
                f"--out: name a directory for the models; --runs is {runs}, which has studies alone"
            )
        runs = RUNS
    trained = TrainedSeeds(Path(out) if out else default_output(file, Path(runs)), tuple(seeds))
    store = model_store(file, Path(runs), tracking_uri)
    ensure_writable(trained.path)
    with hold_lease(trained.path / "lease"):
        calibration = _calibration(file, configuration, trained)
        if address == LOCAL:
            computing = chosen_device(device)
            _train_seeds(configuration, trained, computing, calibration, on_progress)
        else:
            # ray, which training on one machine does without
            from balpoe.launch.cluster_training import train_on_cluster

            train_on_cluster(
                address,
                configuration,
                [(seed, trained.path.resolve() / path.name) for seed, path in trained.by_seed],
                cpus=cpus,
                gpus=gpus,
                calibration=calibration,
                on_progress=on_progress,
            )
        _write_card_of_all_seeds(trained.path, trained.models[0])
        return replace(trained, unlogged=log_models(store, file, trained.models))


def _calibration(
    configuration_file: Path, configuration: Configuration, trained: TrainedSeeds
) -> Calibration:
    """That of models to be; those that are there have their own."""
    if all(map(is_model, trained.models)):
        return OUTSIDE_A_STUDY
    return carried_calibration(configuration_file, configuration)


def _train_seeds(
    configuration: Configuration,
    trained: TrainedSeeds,
    device: torch.device,
    calibration: Calibration,
    on_progress: Callable[[TrainingProgress], None],
) -> None:
    splits = load_final_splits(configuration.data)
    for remark in splits.remarks:
        logger.warning("%s", remark)
    for seed, path in trained.by_seed:
        describe = partial(
            training_progress,
            seed=seed,
            seeds=trained.seeds,
            epochs=configuration.training.epochs,
            images=len(splits.train),
        )
        train_final(
            configuration,
            splits,
            seed=seed,
            path=path,
            device=device,
            balpoe_version=balpoe.__version__,
            calibration=calibration,
            on_epoch=_follower(describe, on_progress),
        )


def _write_card_of_all_seeds(path: Path, trained: Path) -> None:
    """The card above the seeds: of all that have the configuration and data of `trained`."""
    wanted = load_model(trained).provenance
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


def _follower(
    describe: Callable[[Sequence[EpochResult]], TrainingProgress],
    on_progress: Callable[[TrainingProgress], None],
) -> Callable[[EpochResult], None]:
    """Turns the epochs of one seed into progress."""
    history: list[EpochResult] = []

    def follow(result: EpochResult) -> None:
        history.append(result)
        on_progress(describe(history))

    return follow


def default_output(configuration_file: Path, runs: Path = RUNS) -> Path:
    """`models/<file>` in `runs`; an exported configuration's name is preceded by its study's."""
    name = configuration_file.stem
    directory = configuration_file.resolve().parent
    if directory.name == "exports":
        name = f"{directory.parent.name}_{name}"
    return runs / "models" / name


def _refuse_bad_seeds(seeds: Sequence[int]) -> None:
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise UserError(
            f"--seeds: must be different numbers from 0 up, such as 1,2,3, got "
            f"{','.join(map(str, seeds)) or 'none'}"
        )
