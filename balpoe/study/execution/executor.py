"""One launch of a study on Ray: a fresh Tune run that works until the budget is spent.

Tune only executes. What is to be run, and what came of it, the searcher takes from the ledger
and enters there; so nothing of Tune is needed after a launch.
"""

from __future__ import annotations

import logging
import shutil
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial

from balpoe.atomic_write import is_disk_full, storage_error
from balpoe.config import ResourcesConfig, StudySpec
from balpoe.errors import UserError
from balpoe.study.execution.gpu_memory import GpuMemory
from balpoe.study.execution.interruption import Interruption
from balpoe.study.execution.ray_session import leaving_ray
from balpoe.study.execution.remote_trial import where_it_is_kept
from balpoe.study.execution.scheduler import StudyScheduler
from balpoe.study.execution.searcher import StudySearcher
from balpoe.study.execution.software import software
from balpoe.study.execution.study_clock import Timekeeper, timekeeper_beside_driver
from balpoe.study.execution.traceback_file import KeepingTraceback
from balpoe.study.execution.trial import RunTrial, run_trial
from balpoe.study.execution.trial_actor import GPUS, IDENTITY, TrialActor
from balpoe.study.execution.tune_private import without_aws_keys
from balpoe.study.execution.worker_check import WorkerNeeds
from balpoe.study.execution.worker_death import failure_of_worker
from balpoe.study.object_store.study_files import study_files
from balpoe.study.records.ledger import Ledger
from balpoe.study.records.record_store import RecordStore
from balpoe.study.records.study_trials import StudyTrials
from balpoe.study.search.earlier_trials import EarlierStudy
from balpoe.study.search.early_stopping import EarlyStopping
from balpoe.study.search.planned_trials import is_exhausted
from balpoe.study.search.spent_budget import (
    Account,
    SpentBudget,
    budget_spent,
    hours_spent,
    spent_by_launches,
)
from balpoe.study.selection.race import affordable
from balpoe.study.storage.storage import ConfirmLease, unconfirmed
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import Listener
from balpoe.study.trials.failures import Failure
from balpoe.study.trials.launch_log import log_launch
from balpoe.study.trials.metrics_file import read_metrics
from balpoe.study.trials.record import TrialRecord

OBJECT_STORE_BYTES = 100 * 2**20


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
    earlier: Sequence[EarlierStudy] = (),
    confirm_lease: ConfirmLease = unconfirmed,
    other_hosts: bool = False,
    run: RunTrial = run_trial,
) -> LaunchEnd:
    """Run the study's trials until its budget is spent, SIGINT asks to stop, or all fail alike.

    Trials that an earlier launch left unfinished are taken up first, and those that fall behind
    are stopped early where `spec` says so. The events go to
    `listener`, in this thread. A failed trial counts as finished. Ray is started on this
    machine unless the process is connected to a cluster already. `confirm_lease` is asked
    before anything is entered in the storage. The sampler learns from the trials of `earlier`
    studies as from this study's own. Where trials may run on `other_hosts`, they go by the clock
    of this one.

    Raises:
        SystemExit: SIGTERM ends the process with status 143; nothing is waited for.
        StorageError: the study's directory or storage cannot be written.
        UserError: no node is large enough for one trial, a node that joins is unfit for trials,
            or the study has other objectives.
    """
    directory.create()
    ledger = Ledger(spec, directory, confirm_lease)
    before = _spent_before(spec, directory, ledger)
    trials = StudyTrials(spec, ledger, directory)
    if not ledger.running() and _is_over(spec, ledger, trials, before):
        return LaunchEnd()
    number = ledger.begin_launch(earlier)
    sign = log_launch(
        directory.launches,
        spec,
        number=number,
        started=ledger.launches()[-1],
        warm_start={each.study: each.trials for each in (study.event for study in earlier)},
    )
    for study in earlier:
        listener(study.event)
    interruption = Interruption()
    account = Account(before, spec.resources)
    early_stopping = _early_stopping(spec, directory, ledger.records())
    memory = GpuMemory(spec, directory.memory)
    searcher = StudySearcher(spec, trials, listener, interruption, account, memory, early_stopping)
    # Ray installs a handler for SIGTERM: ours come after it
    with connected_ray(), without_aws_keys(), interruption.by_signals(), _scratch(directory):
        _refuse_too_small_a_cluster(spec.resources)
        run = where_it_is_kept(KeepingTraceback(run), directory)
        timekeeper = timekeeper_beside_driver() if other_hosts else None
        is_remote = study_files(directory).remote is not None
        needs = WorkerNeeds(software(), spec.base, None if is_remote else sign)
        try:
            _tuner(spec, directory, searcher, interruption, run, needs, timekeeper).fit()
        except Exception as error:
            # at the end Tune reads a file of its own, which a full disk may have left empty
            if searcher.fault is None:
                _refuse_full_disk(error, directory)
                raise
    if searcher.fault is not None:
        raise searcher.fault
    return LaunchEnd(interruption.signal, searcher.failing_alike)


def _refuse_full_disk(error: Exception, directory: StudyDirectory) -> None:
    """Tell it where Tune was the one to find it."""
    if is_disk_full(error):
        raise storage_error(directory.tune, error) from error


def _spent_before(spec: StudySpec, directory: StudyDirectory, ledger: Ledger) -> SpentBudget:
    """What earlier launches spent; only hours need the files of the trials."""
    if spec.budget.wall_hours is None and spec.budget.device_hours is None:
        return SpentBudget(ledger.finished(), 0.0, 0.0)
    records = RecordStore(spec, directory).records()
    return spent_by_launches(records, ledger.launches(), spec.resources)


def _is_over(spec: StudySpec, ledger: Ledger, trials: StudyTrials, before: SpentBudget) -> bool:
    tried = (record.parameters for record in ledger.records())
    if not (budget_spent(spec.budget, before) or is_exhausted(spec, tried)):
        return False
    return not affordable(trials.seeds_to_train(), hours_spent(spec.budget, before))


def _tuner(
    spec: StudySpec,
    directory: StudyDirectory,
    searcher: StudySearcher,
    interruption: Interruption,
    run: RunTrial,
    needs: WorkerNeeds,
    timekeeper: Timekeeper | None,
) -> tune.Tuner:
    resources = spec.resources
    actor = tune.with_parameters(
        TrialActor,
        spec=spec,
        directory=directory,
        run=run,
        needs=needs,
        timekeeper=timekeeper,
    )
    return tune.Tuner(
        tune.with_resources(
            actor,
            lambda config: tune.PlacementGroupFactory(
                [{"CPU": resources.cpus_per_trial, "GPU": config[GPUS]}]
            ),
        ),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=StudyScheduler(searcher),
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
        self._searcher.on_death(trial.trial_id, failure_of_worker(trial))

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: object) -> None:
        if self._interruption.requested and not self._announced:
            self._announced = True
            self._searcher.announce_stop()


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
    with leaving_ray():
        yield


@contextmanager
def _scratch(directory: StudyDirectory) -> Iterator[None]:
    """Tune's own directory, empty at the beginning and gone at the end."""
    shutil.rmtree(directory.tune, ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(directory.tune, ignore_errors=True)


def _refuse_too_small_a_cluster(resources: ResourcesConfig) -> None:
    """A trial runs on one node."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]  # Ray's
    fields = (("cpus_per_trial", "CPU"), ("gpus_per_trial", "GPU"))
    for field, resource in fields:
        wanted, most = getattr(resources, field), max(node.get(resource, 0) for node in nodes)
        if wanted > most:
            raise UserError(
                f"resources.{field}: {wanted:g}, but Ray has {most:g} {resource}s here"
                f"{' on its largest node' if len(nodes) > 1 else ''}; ask for less"
            )
    wanted_of = {resource: getattr(resources, field) for field, resource in fields}
    if not any(all(node.get(name, 0) >= n for name, n in wanted_of.items()) for node in nodes):
        raise UserError(
            f"resources: no node of the cluster has both {resources.cpus_per_trial} CPUs and "
            f"{resources.gpus_per_trial:g} GPUs, as one trial asks for; ask for less"
        )


def _early_stopping(
    spec: StudySpec, directory: StudyDirectory, records: Iterable[TrialRecord]
) -> EarlyStopping | None:
    """The early stopping of a study, with what its trials have reached; None where it has none.

    Raises:
        CorruptFile: the metrics of a trial are damaged.
    """
    if spec.early_stopping is None:
        return None
    stopping = EarlyStopping(spec, spec.early_stopping)
    for record in records:
        path = directory.trial(record.identity).metrics
        if path.exists():
            number = record.identity.number
            stopping.rebuild(number, record.parameters, read_metrics(path))
    return stopping
