"""The seeds of `balpoe train` on the nodes of a cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import balpoe
from balpoe.cluster.driver_connection import connected
from balpoe.cluster.preflight import TrialNeeds, most_gpus, refuse_unfit_nodes
from balpoe.cluster.seed_training import SeedTask, SeedUpdate, TrainingSet, train_seeds
from balpoe.config import Configuration
from balpoe.errors import UserError
from balpoe.reporting.training_display import TrainingProgress, training_progress
from balpoe.training.epoch import EpochResult
from balpoe.training.model_directory import Calibration

logger = logging.getLogger(__name__)


def train_on_cluster(
    address: str,
    configuration: Configuration,
    models: Sequence[tuple[int, Path]],
    *,
    cpus: int,
    gpus: float | None,
    calibration: Calibration,
    on_progress: Callable[[TrainingProgress], None],
) -> None:
    """Train each of `models`, a seed and its directory, on the cluster at `address`.

    Each gets `cpus` and `gpus`, by default one GPU where the cluster has any.

    Raises:
        UserError: the cluster cannot do it, or seeds failed; the others have their models.
    """
    with connected(address):
        gpus = float(most_gpus() > 0) if gpus is None else gpus
        needs = TrialNeeds(configuration, models[0][1].parent, cpus, gpus)
        for remark in refuse_unfit_nodes(needs).remarks:
            logger.warning("%s", remark)
        failures = train_seeds(
            [
                SeedTask(configuration, seed, path, calibration, balpoe.__version__)
                for seed, path in models
            ],
            cpus=cpus,
            gpus=gpus,
            on_update=_Listener(configuration.training.epochs, on_progress),
        )
    if failures:
        listed = "\n".join(f"  seed {seed}: {reason}" for seed, reason in failures.items())
        raise UserError(f"seeds that failed, while the others have their models:\n{listed}")


class _Listener:
    """Turns the news of seeds that are trained side by side into their progress."""

    def __init__(self, epochs: int, on_progress: Callable[[TrainingProgress], None]) -> None:
        self._epochs = epochs
        self._on_progress = on_progress
        self._images: dict[int, int] = {}
        self._histories: dict[int, list[EpochResult]] = {}

    def __call__(self, seed: int, news: SeedUpdate) -> None:
        if isinstance(news, TrainingSet):
            if not self._images:  # all seeds have the same data
                for remark in news.remarks:
                    logger.warning("%s", remark)
            self._images[seed] = news.images
            self._histories[seed] = []  # an attempt tells the epochs of those before it again
            return
        history = self._histories[seed]
        history.append(news)
        self._on_progress(
            training_progress(
                history,
                seed=seed,
                seeds=(seed,),
                epochs=self._epochs,
                images=self._images[seed],
            )
        )
