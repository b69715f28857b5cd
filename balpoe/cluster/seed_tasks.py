"""Final trainings on a cluster: one task for each model, on any node with enough resources.

A seed whose worker or node is lost resumes elsewhere from its newest checkpoint. A seed that
fails does not affect the others.
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

from balpoe.data import load_final_splits
from balpoe.errors import UserError
from balpoe.study.execution.interruption import SEEDS_SAVE_SECONDS
from balpoe.study.execution.software import Software, differences_text, software
from balpoe.study.trials.failures import FailureClass, failure_of
from balpoe.study.trials.retries import RetryState, next_step
from balpoe.training.epoch import EpochResult
from balpoe.training.final_training import FinalTraining, final_epochs


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The number of training images of a seed, and the remarks of their source."""

    images: int
    remarks: tuple[str, ...]


SeedUpdate = TrainingSet | EpochResult
"""What each attempt at a seed reports: first its training set, then each epoch."""


def train_seeds(
    tasks: Sequence[FinalTraining],
    *,
    cpus: int,
    gpus: float,
    on_update: Callable[[FinalTraining, SeedUpdate], None],
) -> Mapping[Path, str]:
    """Train all seeds on the connected cluster.

    Args:
        tasks: The seeds, also of different configurations; each has a path of its own.
        cpus: CPUs for each seed.
        gpus: GPUs for each seed.
        on_update: Called in this thread with a seed and its update.

    Returns:
        The reason of the failure of each seed that failed, by its path.
    """
    trainings = _SeedTrainings(tasks, cpus, gpus, on_update)
    try:
        trainings.run()
    except BaseException:
        trainings.stop()
        raise
    return trainings.failures


class _SeedTrainings:
    """The running trainings of seeds."""

    def __init__(
        self,
        tasks: Sequence[FinalTraining],
        cpus: int,
        gpus: float,
        on_update: Callable[[FinalTraining, SeedUpdate], None],
    ) -> None:
        self._cpus, self._gpus = cpus, gpus
        self._on_update = on_update
        self._retries = {task.path: RetryState() for task in tasks}
        self._epochs = dict.fromkeys(self._retries, 0)
        self._running: dict[ObjectRefGenerator, FinalTraining] = {}
        self.failures: dict[Path, str] = {}
        for task in tasks:
            self._begin(task)

    def run(self) -> None:
        """Return when every seed has its model or has failed."""
        while self._running:
            [ready], _ = ray.wait(list(self._running), num_returns=1)
            self._receive(cast("ObjectRefGenerator", ready))

    def stop(self) -> None:
        """Cancel all running seeds; those between two epochs save a checkpoint."""
        for running in self._running:
            ray.cancel(running)
        deadline = time.monotonic() + SEEDS_SAVE_SECONDS
        while self._running and time.monotonic() < deadline:
            ready, _ = ray.wait(list(self._running), num_returns=1, timeout=1.0)
            for each in ready:
                with suppress(StopIteration, RayError):
                    ray.get(next(cast("ObjectRefGenerator", each)))
                    continue
                self._running.pop(cast("ObjectRefGenerator", each))

    def _begin(self, task: FinalTraining) -> None:
        remote = ray.remote(_seed_updates).options(
            num_returns="streaming", num_cpus=self._cpus, num_gpus=self._gpus, max_retries=0
        )
        running = remote.remote(task, software(), self._cpus, self._gpus > 0)
        self._running[cast("ObjectRefGenerator", running)] = task

    def _receive(self, running: ObjectRefGenerator) -> None:
        task = self._running[running]
        try:
            update: SeedUpdate = ray.get(cast("ObjectRef[SeedUpdate]", next(running)))
        except StopIteration:
            del self._running[running]
        except RayTaskError as error:
            del self._running[running]
            cause = error.cause if isinstance(error.cause, Exception) else error
            self.failures[task.path] = failure_of(cause).reason
        except RayError as error:
            del self._running[running]
            self._after_death(task, error)
        else:
            if isinstance(update, EpochResult):
                # a resumed training reports its earlier epochs again
                self._epochs[task.path] = max(self._epochs[task.path], update.epoch)
            self._on_update(task, update)

    def _after_death(self, task: FinalTraining, error: RayError) -> None:
        """Resume the seed elsewhere, unless its worker died too often; a lost node never counts."""
        kind: FailureClass = "departure" if isinstance(error, NodeDiedError) else "infrastructure"
        step, state = next_step(kind, self._retries[task.path], self._epochs[task.path])
        if step == "retry":
            state = state.next_attempt()
            self._begin(replace(task, attempt=state.attempt))
        else:
            reason = str(error).strip().splitlines()[0]
            self.failures[task.path] = (
                f"its worker died {state.deaths} times without progress: {reason}"
            )
        self._retries[task.path] = state


def _seed_updates(
    task: FinalTraining, drivers: Software, cpus: int, on_gpu: bool
) -> Generator[SeedUpdate, None, None]:
    """Train one seed in a worker."""
    differing = differences_text(drivers, software(), decisive=True)
    if differing is not None:
        raise UserError(differing)
    torch.set_num_threads(cpus)
    splits = load_final_splits(task.configuration.data)
    yield TrainingSet(len(splits.train), tuple(splits.remarks))
    device = torch.device("cuda" if on_gpu else "cpu")
    with closing(final_epochs(task, splits, device)) as epochs:
        yield from epochs
