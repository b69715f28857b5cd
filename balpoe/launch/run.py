"""The command `run`: one launch of a study."""

from __future__ import annotations

import functools
import logging
import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from balpoe.atomic_write import write_text_atomically
from balpoe.cluster.address import LOCAL
from balpoe.cluster.driver_connection import connected
from balpoe.cluster.preflight import TrialNeeds, refuse_unfit_nodes
from balpoe.config import StudySpec
from balpoe.data import load_search_splits
from balpoe.files import cost_place, dump_study
from balpoe.launch import RUNS
from balpoe.launch.runs import drivers_runs, local_runs
from balpoe.launch.storage_option import choose_storage
from balpoe.launch.study_file import (
    load_with_absolute_paths,
    refuse_changes_since_last_launch,
)
from balpoe.launch.tracking import class_counts, study_origin, tracking_store
from balpoe.launch.warm_start_studies import warm_start_studies
from balpoe.study.execution.executor import LaunchEnd, run_trials
from balpoe.study.execution.interruption import exit_at_sigterm
from balpoe.study.object_store.driver_uploads import DriverUploads
from balpoe.study.object_store.study_files import study_files
from balpoe.study.records.live_records import LiveRecords
from balpoe.study.records.record_store import RecordStore
from balpoe.study.records.running_epochs import RunningEpochsFile
from balpoe.study.search.earlier_trials import EarlierStudy
from balpoe.study.search.spent_budget import is_finished
from balpoe.study.selection.front import ordered_front
from balpoe.study.storage.storage_record import hold_study, record_storage, refuse_local_storage_on
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.earlier_records import record_validation_balance
from balpoe.study.trials.events import Listener, StudyEvent, TrialEvent
from balpoe.study.trials.measurable_metrics import depends_on_data, refuse_unmeasurable_metrics
from balpoe.study.trials.record import TrialRecord
from balpoe.tracking import (
    MirrorReport,
    MirrorWriter,
    Origin,
    Outcome,
    TrackingStore,
    start_mirror,
    study_description,
)

_CLOSE_SECONDS = 1.0

logger = logging.getLogger(__name__)

Watch = Callable[
    [StudySpec, tuple[TrialRecord, ...], tuple[float, ...]], AbstractContextManager[Listener]
]
"""Takes the study, its trials so far and the times of earlier launches; returns the context of a
function that receives the events of this launch."""


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """The result of a launch.

    Attributes:
        spec: The study.
        directory: Its directory on this host.
        records: All its trials.
        front: The trials on the Pareto front, the best first.
        end: Why the launch ended.
        mirror: Which trials MLflow lacks, if any.
        was_finished: Whether the budget was spent before this launch.
    """

    spec: StudySpec
    directory: StudyDirectory
    records: tuple[TrialRecord, ...]
    front: tuple[TrialRecord, ...]
    end: LaunchEnd
    mirror: MirrorReport
    was_finished: bool


def run(
    study_file: Path | str,
    *,
    runs: Path | str = RUNS,
    tracking_uri: str | None = None,
    storage: str | None = None,
    address: str = LOCAL,
    command: str | None = None,
    watch: Watch = lambda spec, earlier, launches: nullcontext(lambda event: None),
) -> StudyOutcome:
    """Start a study, or continue a study that was stopped or killed.

    Args:
        study_file: The study.
        runs: The directory of the studies, or `s3://BUCKET/PREFIX`.
        tracking_uri: The MLflow store that mirrors the study, also in later launches; by default
            MLFLOW_TRACKING_URI, else `mlflow.db` in `runs` (for S3 in the working copy).
        storage: The PostgreSQL database of the trials, without a password; by default for a new
            study BALPOE_STORAGE, else SQLite in its directory.
        address: A Ray cluster: HOST:PORT of its head, or `auto` for the cluster of this host. Its
            nodes are inspected first. By default Ray is started on this machine.
        command: The command that continues the study, for the description in MLflow.
        watch: Receives the events of the launch.

    Raises:
        UserError: the file, the cluster or the directory is invalid.
    """
    spec = load_with_absolute_paths(study_file)
    copies = local_runs(runs)
    shown = StudyDirectory.of(copies, spec.name)
    shown.create()
    study_files(shown).refresh()
    chosen = choose_storage(shown, storage)
    with hold_study(shown, chosen) as confirm_lease, connected(address):
        directory = StudyDirectory.of(drivers_runs(runs), spec.name)
        directory.create()
        uploads = DriverUploads(directory)
        record_storage(directory, chosen)
        earlier = _earlier_studies(spec, copies, Path(study_file))
        _save_specification(spec, directory, str(study_file))
        if address != LOCAL:
            _inspect_nodes(spec, directory)
        tracking = tracking_store(directory, copies, tracking_uri)
        uploads.upload()
        command = command or shlex.join(["balpoe", "run", str(study_file)])
        origin = study_origin(directory, Path(study_file))
        execute = functools.partial(
            run_trials,
            earlier=earlier,
            confirm_lease=confirm_lease,
            other_hosts=address != LOCAL,
            study_commit=origin.study_files[-1].commit,
        )
        outcome = _launch(spec, directory, uploads, tracking, origin, command, watch, execute)
        return replace(outcome, directory=shown)


def _inspect_nodes(spec: StudySpec, directory: StudyDirectory) -> None:
    resources = spec.resources
    place = study_files(directory).remote or directory.path
    needs = TrialNeeds(spec.base, place, resources.cpus_per_trial, resources.gpus_per_trial)
    fit = refuse_unfit_nodes(needs)
    for remark in fit.remarks:
        logger.warning("%s", remark)
    refuse_local_storage_on(fit.hosts, directory)


def _save_specification(spec: StudySpec, directory: StudyDirectory, file: str) -> None:
    if directory.specification.is_file():
        balanced = refuse_changes_since_last_launch(directory, spec, file)
        if balanced is not None:
            record_validation_balance(directory, balanced=balanced)
    write_text_atomically(directory.specification, dump_study(spec))


def _earlier_studies(spec: StudySpec, runs: Path, file: Path) -> tuple[EarlierStudy, ...]:
    if not spec.warm_start and not depends_on_data(spec):
        return ()  # then there is no need to load the data
    splits = load_search_splits(spec.base.data)
    refuse_unmeasurable_metrics(spec, splits, functools.partial(cost_place, file))
    return warm_start_studies(spec, runs, splits.description.fingerprint)


def _launch(
    spec: StudySpec,
    directory: StudyDirectory,
    uploads: DriverUploads,
    tracking: TrackingStore,
    origin: Origin,
    command: str,
    watch: Watch,
    execute: Callable[[StudySpec, StudyDirectory, Listener], LaunchEnd],
) -> StudyOutcome:
    store = RecordStore(spec, directory)
    recorded, launches = store.records(), store.launches()
    was_finished = is_finished(spec, recorded, launches)
    mirror = start_mirror(
        tracking,
        spec,
        origin,
        study_description(spec, command=command),
        functools.partial(class_counts, directory),
    )
    for record in recorded:
        mirror.submit(record)
    end = LaunchEnd()
    if not was_finished:
        live = LiveRecords(store)
        with (
            watch(spec, recorded, launches) as follow,
            _closed_early(mirror),
            RunningEpochsFile(directory) as running_epochs,
        ):

            def report(event: StudyEvent) -> None:
                uploads.follow(event)
                if isinstance(event, TrialEvent):
                    mirror.submit(live.after(event))
                running_epochs.follow(event)
                follow(event)

            end = execute(spec, directory, report)
        uploads.upload()
    records = store.records()
    front = ordered_front(records, spec.objectives)
    outcome: Outcome = "interrupted"
    if end.signal is None:
        outcome = "finished" if front else "failed"
    mirrored = mirror.close(
        outcome, description=study_description(spec, command=command, front=front, records=records)
    )
    return StudyOutcome(spec, directory, records, front, end, mirrored, was_finished)


@contextmanager
def _closed_early(mirror: MirrorWriter) -> Iterator[None]:
    """Mark the study as interrupted if the block raises; that may take a second."""
    try:
        with exit_at_sigterm():
            yield
    except BaseException:
        mirror.close("interrupted", deadline_seconds=_CLOSE_SECONDS)
        raise
