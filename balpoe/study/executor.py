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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.exceptions import RayActorError
from ray.tune.experiment import Trial

from balpoe.config import ResourcesConfig, StudySpec
from balpoe.errors import UserError
from balpoe.study.budget import (
    Account,
    Spent,
    budget_spent,
    hours_spent,
    spent_by_launches,
)
from balpoe.study.directory import StudyDirectory
from balpoe.study.events import Listener
from balpoe.study.failures import Failure
from balpoe.study.interruption import Interruption
from balpoe.study.known_points import is_exhausted
from balpoe.study.launch_log import log_launch
from balpoe.study.ledger import Ledger
from balpoe.study.race import affordable
from balpoe.study.searcher import StudySearcher
from balpoe.study.store import RecordStore
from balpoe.study.trial import RunTrial, run_trial
from balpoe.study.trial_actor import IDENTITY, TrialActor
from balpoe.study.trial_book import TrialBook

OBJECT_STORE_BYTES = 100 * 2**20

# how Ray's memory monitor explains itself
_MEMORY_MONITOR = "running low on memory"


@dataclass(frozen=True, slots=True)
class LaunchEnd:
    """Why a launch is over.

    `signal` stopped it, or its first trials were `failing_alike`; neither: the budget is spent.
    """

    signal: signal.Signals | None = None
    failing_alike: Failure | None = None


def run_trials(
    spec: StudySpec,
    directory: StudyDirectory,
    listener: Listener,
    *,
    run: RunTrial = run_trial,
) -> LaunchEnd:
    """Run the study's trials until its budget is spent, SIGINT asks to stop, or all fail alike.

    Trials that an earlier launch left unfinished are taken up first. The events go to
    `listener`, in this thread. A failed trial counts as finished. Ray is started on this
    machine unless the process is connected to a cluster already.

    Raises:
        SystemExit: SIGTERM ends the process with status 143; nothing is waited for.
        StorageError: the study's directory or storage cannot be written.
        UserError: the machine is too small for one trial, or the study has other objectives.
    """
    directory.create()
    ledger = Ledger(spec, directory)
    before = _spent_before(spec, directory, ledger)
    book = TrialBook(spec, ledger, directory)
    if not ledger.running() and _is_over(spec, ledger, book, before):
        return LaunchEnd()
    number = ledger.begin_launch()
    log_launch(directory.launches, spec, number=number, started=ledger.launches()[-1])
    interruption = Interruption()
    account = Account(before, spec.resources)
    searcher = StudySearcher(spec, book, listener, interruption, account)
    # Ray installs a handler for SIGTERM: ours come after it
    with connected_ray(), interruption.by_signals(), _scratch(directory):
        _refuse_too_small_a_machine(spec.resources)
        _tuner(spec, directory, searcher, interruption, run).fit()
    if searcher.fault is not None:
        raise searcher.fault
    return LaunchEnd(interruption.signal, searcher.failing_alike)


def _spent_before(spec: StudySpec, directory: StudyDirectory, ledger: Ledger) -> Spent:
    """What earlier launches spent; only hours need the files of the trials."""
    if spec.budget.wall_hours is None and spec.budget.device_hours is None:
        return Spent(ledger.finished(), 0.0, 0.0)
    records = RecordStore(spec, directory).records()
    return spent_by_launches(records, ledger.launches(), spec.resources)


def _is_over(spec: StudySpec, ledger: Ledger, book: TrialBook, before: Spent) -> bool:
    tried = (entry.parameters for entry in ledger.entries())
    if not (budget_spent(spec.budget, before) or is_exhausted(spec, tried)):
        return False
    return not affordable(book.seeds_to_train(), hours_spent(spec.budget, before))


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
            callbacks=[_Watch(searcher, interruption)],
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


class _Watch(tune.Callback):
    """Tells the searcher of workers that died, and why, and of the wish to stop."""

    def __init__(self, searcher: StudySearcher, interruption: Interruption) -> None:
        self._searcher = searcher
        self._interruption = interruption
        self._announced = False

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        self._searcher.on_death(trial.trial_id, _failure_of_worker(trial))

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: object) -> None:
        if self._interruption.signal is not None and not self._announced:
            self._announced = True
            self._searcher.announce_stop()


def _failure_of_worker(trial: Trial) -> Failure:
    """What Tune wrote down about the error, below its own heading."""
    _heading, first, *rest = Path(trial.error_file).read_text().splitlines()
    if _MEMORY_MONITOR in first:
        return Failure("resource", f"Ray's memory monitor ended the worker: {first}")
    if _is_raised(trial):
        raised = next((line for line in reversed(rest) if line.strip()), first)
        return Failure("deterministic", f"the worker cannot run the trial: {raised}")
    return Failure("infrastructure", f"the worker died: {first}")


def _is_raised(trial: Trial) -> bool:
    """Whether Python code of the worker raised the error; Tune keeps no file of Ray's own."""
    if trial.pickled_error_file is None:
        return False
    with open(trial.pickled_error_file, "rb") as file:
        error = cloudpickle.load(file)
    return not isinstance(error, RayActorError) or error.actor_init_failed


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
    except SystemExit:
        raise  # SIGTERM: to wait for Ray would cost the time for what must still be written
    except BaseException:
        ray.shutdown()
        raise
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
