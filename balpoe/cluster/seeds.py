"""Final trainings on a cluster: each seed a task of its own, on whichever node has room.

A seed whose worker or node is lost goes on elsewhere from its newest checkpoint; one that fails
does not disturb the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import ray
import torch
from ray import ObjectRef, ObjectRefGenerator
from ray.exceptions import NodeDiedError, RayError, RayTaskError

from balpoe.config import Configuration
from balpoe.data import load_final_splits
from balpoe.errors import UserError
from balpoe.study.execution.interruption import SEEDS_SAVE_SECONDS
from balpoe.study.execution.software import Software, differences_text, software
from balpoe.study.trials.failures import FailureClass, failure_of
from balpoe.study.trials.retries import RetryState, next_step
from balpoe.training.epoch import EpochResult
from balpoe.training.final_training import final_epochs
from balpoe.training.model_directory import Calibration


@dataclass(frozen=True, slots=True)
class SeedTask:
    """A seed to train into the model directory `path`, on storage that all nodes share."""

    configuration: Configuration
    seed: int
    path: Path
    calibration: Calibration
    balpoe_version: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What a seed is trained on: how many images, and what its source remarks."""

    images: int
    remarks: tuple[str, ...]


SeedNews = TrainingSet | EpochResult
"""What a seed tells: first its training set, then each epoch."""


def train_seeds(
    tasks: Sequence[SeedTask],
    *,
    cpus: int,
    gpus: float,
    on_news: Callable[[int, SeedNews], None],
) -> Mapping[int, str]:
    """Train all seeds on the connected cluster; `on_news` hears of each, in this thread.

    Returns:
        Why a seed failed, for each that did.
    """
    crew = _Crew(tasks, cpus, gpus, on_news)
    try:
        crew.work()
    except BaseException:
        crew.leave()
        raise
    return crew.failures


def most_gpus() -> float:
    """The GPUs of the largest node of the connected cluster."""
    nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's
    return max((node["Resources"].get("GPU", 0.0) for node in nodes if node["Alive"]), default=0.0)


class _Crew:
    """The seeds that are being trained."""

    def __init__(
        self,
        tasks: Sequence[SeedTask],
        cpus: int,
        gpus: float,
        on_news: Callable[[int, SeedNews], None],
    ) -> None:
        self._cpus, self._gpus = cpus, gpus
        self._on_news = on_news
        self._retries = {task.seed: RetryState() for task in tasks}
        self._epochs = dict.fromkeys(self._retries, 0)
        self._working: dict[ObjectRefGenerator, SeedTask] = {}
        self.failures: dict[int, str] = {}
        for task in tasks:
            self._begin(task)

    def work(self) -> None:
        """Return once every seed has its model or has failed."""
        while self._working:
            [ready], _ = ray.wait(list(self._working), num_returns=1)
            self._hear(cast("ObjectRefGenerator", ready))

    def leave(self) -> None:
        """Leave the seeds that are being trained; one between two epochs saves a checkpoint.

        Of an epoch that is broken off nothing can be saved: the last checkpoint stands.
        """
        for working in self._working:
            ray.cancel(working)
        deadline = time.monotonic() + SEEDS_SAVE_SECONDS
        while self._working and time.monotonic() < deadline:
            ready, _ = ray.wait(list(self._working), num_returns=1, timeout=1.0)
            for each in ready:
                with suppress(StopIteration, RayError):
                    ray.get(next(cast("ObjectRefGenerator", each)))
                    continue
                self._working.pop(cast("ObjectRefGenerator", each))

    def _begin(self, task: SeedTask) -> None:
        remote = ray.remote(_seed_news).options(
            num_returns="streaming", num_cpus=self._cpus, num_gpus=self._gpus, max_retries=0
        )
        working = remote.remote(task, software(), self._cpus, self._gpus > 0)
        self._working[cast("ObjectRefGenerator", working)] = task

    def _hear(self, working: ObjectRefGenerator) -> None:
        task = self._working[working]
        try:
            news: SeedNews = ray.get(cast("ObjectRef[SeedNews]", next(working)))
        except StopIteration:
            del self._working[working]
        except RayTaskError as error:
            del self._working[working]
            cause = error.cause if isinstance(error.cause, Exception) else error
            self.failures[task.seed] = failure_of(cause).reason
        except RayError as error:
            del self._working[working]
            self._after_death(task, error)
        else:
            if isinstance(news, EpochResult):
                # a resumed training reports its earlier epochs again
                self._epochs[task.seed] = max(self._epochs[task.seed], news.epoch)
            self._on_news(task.seed, news)

    def _after_death(self, task: SeedTask, error: RayError) -> None:
        """Resume the seed elsewhere, unless its worker died too often; a lost node never counts."""
        kind: FailureClass = "departure" if isinstance(error, NodeDiedError) else "infrastructure"
        step, state = next_step(kind, self._retries[task.seed], self._epochs[task.seed])
        if step == "retry":
            state = state.next_attempt()
            self._begin(replace(task, attempt=state.attempt))
        else:
            reason = str(error).strip().splitlines()[0]
            self.failures[task.seed] = (
                f"its worker died {state.deaths} times without progress: {reason}"
            )
        self._retries[task.seed] = state


def _seed_news(
    task: SeedTask, drivers: Software, cpus: int, on_gpu: bool
) -> Generator[SeedNews, None, None]:
    """The worker's part."""
    differing = differences_text(drivers, software(), decisive=True)
    if differing is not None:
        raise UserError(differing)
    torch.set_num_threads(cpus)
    splits = load_final_splits(task.configuration.data)
    yield TrainingSet(len(splits.train), tuple(splits.remarks))
    epochs = final_epochs(
        task.configuration,
        splits,
        seed=task.seed,
        path=task.path,
        device=torch.device("cuda" if on_gpu else "cpu"),
        balpoe_version=task.balpoe_version,
        calibration=task.calibration,
        attempt=task.attempt,
    )
    with closing(epochs):
        yield from epochs
