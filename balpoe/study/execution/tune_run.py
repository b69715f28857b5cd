"""A run of Ray Tune, which executes the trials that a searcher gives it.

The searcher takes trials from the ledger and records them there, so nothing that Tune writes is
needed after a launch.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from balpoe.atomic_write import is_disk_full, storage_error
from balpoe.config import StudySpec
from balpoe.study.execution.interruption import Interruption
from balpoe.study.execution.object_store_trial import with_uploads
from balpoe.study.execution.ray_nodes import large_nodes
from balpoe.study.execution.ray_session import connected_ray
from balpoe.study.execution.searcher import StudySearcher
from balpoe.study.execution.software import software
from balpoe.study.execution.study_clock import start_timekeeper
from balpoe.study.execution.trial import RunTrial, SavingTraceback
from balpoe.study.execution.trial_actor import GPUS, IDENTITY, TrialActor
from balpoe.study.execution.tune_private import without_aws_keys
from balpoe.study.execution.worker_check import WorkerRequirements
from balpoe.study.execution.worker_death import failure_of_worker
from balpoe.study.object_store.study_files import study_files
from balpoe.study.trials.directory import StudyDirectory

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController


def run_tune(
    spec: StudySpec,
    directory: StudyDirectory,
    searcher: StudySearcher,
    interruption: Interruption,
    *,
    run: RunTrial,
    sign: Path,
    other_hosts: bool,
) -> None:
    """Run the trials of `searcher` until it has no more.

    Ray is started on this machine unless the process is connected to a cluster. Workers check that
    they see the file `sign`. Where trials may run on `other_hosts`, this host's clock is theirs.

    Raises:
        SystemExit: SIGTERM ends the process with status 143 without waiting.
        StorageError: the disk of the study's directory is full.
        UserError: no node is large enough for a trial.
    """
    # Ray installs a handler for SIGTERM: that of the interruption comes after it
    with (
        connected_ray(),
        without_aws_keys(),
        interruption.handle_signals(),
        _scratch(directory.tune),
    ):
        large_nodes(cpus=spec.resources.cpus_per_trial, gpus=spec.resources.gpus_per_trial)
        is_remote = study_files(directory).remote is not None
        # kept here: the actor ends with the last handle in this process
        timekeeper = start_timekeeper() if other_hosts else None
        actor = tune.with_parameters(
            TrialActor,
            spec=spec,
            directory=directory,
            run=with_uploads(SavingTraceback(run), directory),
            needs=WorkerRequirements(software(), spec.base, None if is_remote else sign),
            timekeeper=timekeeper,
        )
        try:
            _tuner(spec, directory, searcher, interruption, actor).fit()
        except Exception as error:
            # at its end Tune reads a file of its own, which a full disk may have left empty
            if searcher.fault is not None:
                return
            if is_disk_full(error):
                raise storage_error(directory.tune, error) from error
            raise


def _tuner(
    spec: StudySpec,
    directory: StudyDirectory,
    searcher: StudySearcher,
    interruption: Interruption,
    actor: type[tune.Trainable],
) -> tune.Tuner:
    resources = spec.resources
    return tune.Tuner(
        tune.with_resources(
            actor,
            lambda config: tune.PlacementGroupFactory(
                [{"CPU": resources.cpus_per_trial, "GPU": config[GPUS]}]
            ),
        ),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=_Scheduler(searcher),
            num_samples=-1,
            max_concurrent_trials=resources.concurrent_trials,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name=directory.tune.name,
            storage_path=str(directory.path),
            stop=_StopAfterEpoch(interruption),
            callbacks=[_Callback(searcher, interruption)],
            # Tune would request a checkpoint of its own from a class trainable
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )


class _Scheduler(FIFOScheduler):
    """Runs trials in the order of `searcher` and stops those that it prunes."""

    def __init__(self, searcher: StudySearcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray's
        self._searcher = searcher

    def on_trial_result(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> str:
        """Return whether the trial continues."""
        is_pruned = self._searcher.is_pruned(trial.trial_id, result)
        return FIFOScheduler.STOP if is_pruned else FIFOScheduler.CONTINUE


class _StopAfterEpoch(tune.Stopper):
    """Stops every trial at the end of its running epoch once the study is interrupted."""

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._interruption.requested

    def stop_all(self) -> bool:
        """Return False: trials stop at the end of an epoch, where nothing is lost."""
        return False


class _Callback(tune.Callback):
    """Passes deaths of workers and an interruption on to the searcher."""

    def __init__(self, searcher: StudySearcher, interruption: Interruption) -> None:
        self._searcher = searcher
        self._interruption = interruption
        self._announced = False

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        self._searcher.on_death(trial.trial_id, failure_of_worker(trial))

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: object) -> None:
        self._searcher.poll_requests()
        if self._interruption.requested and not self._announced:
            self._announced = True
            self._searcher.announce_stop()


def _trial_name(trial: Trial) -> str:
    identity = trial.config[IDENTITY]
    return f"{identity['number']}_{identity['repeat']}_{identity['attempt']}"


@contextmanager
def _scratch(directory: Path) -> Iterator[None]:
    """Keep Tune's own directory empty at the beginning and delete it at the end."""
    shutil.rmtree(directory, ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(directory, ignore_errors=True)
