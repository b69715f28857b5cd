"""One launch of a study on Ray: a fresh Tune run that works until the budget is spent.

Tune only executes. What is to be run, and what came of it, the searcher takes from the ledger
and enters there; so nothing of Tune is needed after a launch.
"""

from __future__ import annotations

import logging
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial

from balpoe.config import ResourcesConfig, StudySpec
from balpoe.errors import UserError
from balpoe.study.directory import StudyDirectory
from balpoe.study.events import Listener
from balpoe.study.interruption import Interruption
from balpoe.study.ledger import Ledger
from balpoe.study.searcher import StudySearcher
from balpoe.study.trial import RunTrial, run_trial
from balpoe.study.trial_actor import IDENTITY, TrialActor

OBJECT_STORE_BYTES = 100 * 2**20


def run_trials(
    spec: StudySpec,
    directory: StudyDirectory,
    listener: Listener,
    *,
    run: RunTrial = run_trial,
) -> signal.Signals | None:
    """Run the study's trials until its budget is spent, or SIGINT or SIGTERM asks to stop.

    Trials that an earlier launch left unfinished are taken up first. The events go to
    `listener`, in this thread. A failed trial counts as finished. Ray is started on this
    machine unless the process is connected to a cluster already.

    Returns:
        The signal that stopped the study; None where the budget is spent.

    Raises:
        StorageError: the study's directory or storage cannot be written.
        UserError: the machine is too small for one trial, or the study has other objectives.
    """
    directory.create()
    ledger = Ledger(spec, directory)
    if not ledger.running() and ledger.finished() >= spec.budget.trials:
        return None
    ledger.begin_launch()
    interruption = Interruption()
    searcher = StudySearcher(spec, ledger, listener, interruption)
    with interruption.by_signals(), connected_ray(), _scratch(directory):
        _refuse_too_small_a_machine(spec.resources)
        _tuner(spec, directory, searcher, interruption, run).fit()
    if searcher.fault is not None:
        raise searcher.fault
    return interruption.signal


def _tuner(
    spec: StudySpec,
    directory: StudyDirectory,
    searcher: StudySearcher,
    interruption: Interruption,
    run: RunTrial,
) -> tune.Tuner:
    resources = spec.resources
    actor = tune.with_parameters(TrialActor, spec=spec, directory=directory, run=run)
    return tune.Tuner(
        tune.with_resources(
            actor, {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial}
        ),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=-1,
            max_concurrent_trials=resources.concurrent_trials,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name=directory.tune.name,
            storage_path=str(directory.path),
            stop=_StopWhenAsked(interruption),
            callbacks=[_DeathWatch(searcher)],
            # a class trainable would otherwise be asked for a checkpoint of Tune's own
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )


class _StopWhenAsked(tune.Stopper):
    """Stops every trial at the end of its running epoch, once that is asked for."""

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._interruption.requested

    def stop_all(self) -> bool:
        """Never at once: the end of an epoch is where nothing is lost."""
        return False


class _DeathWatch(tune.Callback):
    """Tells the searcher of workers that died, and why."""

    def __init__(self, searcher: StudySearcher) -> None:
        self._searcher = searcher

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        self._searcher.on_death(trial.trial_id, f"the worker died: {_first_line_of_error(trial)}")


def _first_line_of_error(trial: Trial) -> str:
    """What Tune wrote down about the error, below its own heading."""
    _heading, reason, *_rest = Path(trial.error_file).read_text().splitlines()
    return reason


def _trial_name(trial: Trial) -> str:
    identity = trial.config[IDENTITY]
    return f"{identity['number']}_{identity['repeat']}_{identity['attempt']}"


@contextmanager
def connected_ray() -> Iterator[None]:
    """Ray: the cluster that the process is connected to, or one of its own on this machine."""
    if ray.is_initialized():
        yield
        return
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        object_store_memory=OBJECT_STORE_BYTES,
    )
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _scratch(directory: StudyDirectory) -> Iterator[None]:
    """Tune's own directory, empty at the beginning and gone at the end."""
    shutil.rmtree(directory.tune, ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(directory.tune, ignore_errors=True)


def _refuse_too_small_a_machine(resources: ResourcesConfig) -> None:
    available: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray's
    for field, resource in (("cpus_per_trial", "CPU"), ("gpus_per_trial", "GPU")):
        wanted, found = getattr(resources, field), available.get(resource, 0)
        if wanted > found:
            raise UserError(
                f"resources.{field}: {wanted:g}, but Ray has {found:g} {resource}s here; "
                f"ask for less"
            )
