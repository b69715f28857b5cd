"""The verb `run`: one launch of a study, from its file to its front."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from balpoe.atomic_write import write_text_atomically
from balpoe.cluster.address import LOCAL
from balpoe.cluster.driver_connection import connected
from balpoe.cluster.preflight import TrialNeeds, refuse_unfit_nodes
from balpoe.config import StudySpec
from balpoe.data import load_search_splits
from balpoe.files import dump_study, load_study
from balpoe.launch import RUNS
from balpoe.launch.absolute_paths import with_absolute_paths
from balpoe.launch.runs import drivers_runs, local_runs
from balpoe.launch.storage_option import chosen_storage
from balpoe.launch.study_file import refuse_changes
from balpoe.launch.tracking import tracking_store
from balpoe.launch.warm_start_studies import earlier_studies
from balpoe.study.execution.executor import LaunchEnd, run_trials
from balpoe.study.execution.interruption import exit_at_sigterm
from balpoe.study.object_store.driver_uploads import DriverUploads
from balpoe.study.object_store.study_files import study_files
from balpoe.study.records.record_store import RecordStore
from balpoe.study.search.completion import is_finished
from balpoe.study.search.earlier_trials import EarlierStudy
from balpoe.study.selection.front import ordered_front
from balpoe.study.storage.study_storage import hold_study, record_storage, refuse_local_storage_on
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.environment import current_environment
from balpoe.study.trials.events import Listener, StateChange, StudyEvent
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

HASTE_SECONDS = 1.0

logger = logging.getLogger(__name__)

Watch = Callable[
    [StudySpec, tuple[TrialRecord, ...], tuple[float, ...]], AbstractContextManager[Listener]
]


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """How a launch ended: what the study holds now.

    `end` tells why it ended; `front` has the best first. `was_finished` tells that there was
    nothing left to do.
    """

    spec: StudySpec
    directory: StudyDirectory
    records: tuple[TrialRecord, ...]
    front: tuple[TrialRecord, ...]
    end: LaunchEnd
    mirror: MirrorReport
    was_finished: bool


@contextmanager
def unwatched(
    spec: StudySpec, earlier: Sequence[TrialRecord], launches: Sequence[float]
) -> Iterator[Listener]:
    """Nobody follows the launch."""
    yield lambda event: None


def run(
    study_file: Path | str,
    *,
    runs: Path | str = RUNS,
    tracking_uri: str | None = None,
    storage: str | None = None,
    address: str = LOCAL,
    command: str | None = None,
    watch: Watch = unwatched,
) -> StudyOutcome:
    """Start a study, or continue it where it was stopped or killed.

    `runs` is a directory or `s3://BUCKET/PREFIX`. `tracking_uri` is where MLflow mirrors the
    study, also in later launches; by default MLFLOW_TRACKING_URI, else `mlflow.db` in `runs` (on
    S3 in this host's copy). `storage` is the PostgreSQL database that has the trials, without a
    password; by default BALPOE_STORAGE for a new study, else SQLite in its directory. `address` is
    that of a Ray cluster (HOST:PORT, or `auto` for the one of this host), all of whose nodes are
    inspected first; by default Ray is started on this machine. MLflow shows `command` as the one
    that continues the study. `watch` is given the study, the trials it has so far and when earlier
    launches began, and makes the listener that follows this one.

    Raises:
        UserError: the file, the cluster or the directory is at fault; the message says how.
    """
    spec = load_study(study_file)
    spec = replace(spec, base=with_absolute_paths(spec.base))
    copies = local_runs(runs)
    shown = StudyDirectory.of(copies, spec.name)
    shown.create()
    study_files(shown).refresh()
    chosen = chosen_storage(shown, storage)
    with hold_study(shown, chosen) as confirm_lease, connected(address):
        directory = StudyDirectory.of(drivers_runs(runs), spec.name)
        directory.create()
        uploads = DriverUploads(directory)
        record_storage(directory, chosen)
        earlier = _earlier_studies(spec, copies)
        _keep_specification(spec, directory, str(study_file))
        if address != LOCAL:
            _inspect_nodes(spec, directory)
        tracking = tracking_store(directory, copies, tracking_uri)
        uploads.upload()
        command = command or f"balpoe run {study_file}"
        execute = functools.partial(
            run_trials, earlier=earlier, confirm_lease=confirm_lease, other_hosts=address != LOCAL
        )
        outcome = _launch(spec, directory, uploads, tracking, command, watch, execute)
        return replace(outcome, directory=shown)


def _inspect_nodes(spec: StudySpec, directory: StudyDirectory) -> None:
    resources = spec.resources
    place = study_files(directory).remote or directory.path
    needs = TrialNeeds(spec.base, place, resources.cpus_per_trial, resources.gpus_per_trial)
    fit = refuse_unfit_nodes(needs)
    for remark in fit.remarks:
        logger.warning("%s", remark)
    refuse_local_storage_on(fit.hosts, directory)


def _keep_specification(spec: StudySpec, directory: StudyDirectory, file: str) -> None:
    if directory.specification.is_file():
        refuse_changes(load_study(directory.specification), spec, file)
    write_text_atomically(directory.specification, dump_study(spec))


def _launch(
    spec: StudySpec,
    directory: StudyDirectory,
    uploads: DriverUploads,
    tracking: TrackingStore,
    command: str,
    watch: Watch,
    execute: Callable[[StudySpec, StudyDirectory, Listener], LaunchEnd],
) -> StudyOutcome:
    store = RecordStore(spec, directory)
    recorded, launches = store.records(), store.launches()
    finished_before = is_finished(spec, recorded, launches)
    environment = current_environment()
    mirror = start_mirror(
        tracking,
        spec,
        Origin(environment.user, environment.git_commit),
        study_description(spec, command=command),
    )
    for record in recorded:
        mirror.submit(record)
    end = LaunchEnd()
    if not finished_before:
        with watch(spec, recorded, launches) as follow, _closing_at_once(mirror):
            listener = _both(uploads.follow, _both(_reflector(store, mirror), follow))
            end = execute(spec, directory, listener)
        uploads.upload()
    records = store.records()
    front = ordered_front(records, spec.objectives)
    report = mirror.close(
        _outcome(front, end),
        description=study_description(spec, command=command, front=front, records=records),
    )
    return StudyOutcome(spec, directory, records, front, end, report, finished_before)


def _earlier_studies(spec: StudySpec, runs: Path) -> tuple[EarlierStudy, ...]:
    """Those that the study begins from; its data are only loaded if there are any."""
    if not spec.warm_start:
        return ()
    fingerprint = load_search_splits(spec.base.data).description.fingerprint
    return earlier_studies(spec, runs, fingerprint)


@contextmanager
def _closing_at_once(mirror: MirrorWriter) -> Iterator[None]:
    """Mark the study as interrupted where the block is left early, in the second that there is."""
    try:
        with exit_at_sigterm():
            yield
    except BaseException:
        mirror.close("interrupted", deadline_seconds=HASTE_SECONDS)
        raise


def _reflector(store: RecordStore, mirror: MirrorWriter) -> Listener:
    """Hands the record of a trial to the mirror when it begins and when it ends."""

    def reflect(event: StudyEvent) -> None:
        if isinstance(event, StateChange):
            mirror.submit(store.record(event.identity.number, event.identity.repeat))

    return reflect


def _both(first: Listener, second: Listener) -> Listener:
    def tell(event: StudyEvent) -> None:
        first(event)
        second(event)

    return tell


def _outcome(front: tuple[TrialRecord, ...], end: LaunchEnd) -> Outcome:
    if end.signal is not None:
        return "interrupted"
    return "finished" if front else "failed"
