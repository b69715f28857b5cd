"""The command `sync`: rebuild MLflow's mirror of a study from its storage and files."""

from __future__ import annotations

import functools
import shlex
from dataclasses import dataclass
from pathlib import Path

from balpoe.launch import RUNS
from balpoe.launch.runs import OPTION, find_study, is_remote, local_runs
from balpoe.launch.tracking import class_counts, study_origin, tracking_store
from balpoe.study.object_store.study_files import study_files
from balpoe.study.records.record_store import RecordStore
from balpoe.study.search.spent_budget import is_finished
from balpoe.study.selection.front import ordered_front
from balpoe.study.storage.storage_record import hold_study
from balpoe.tracking import Outcome, rebuild, study_description


@dataclass(frozen=True, slots=True)
class SyncReport:
    """The store that mirrors the study, and how many runs of trials it has."""

    tracking_uri: str
    runs: int


def sync(study: str, *, runs: Path | str = RUNS, tracking_uri: str | None = None) -> SyncReport:
    """Write to MLflow what it lacks of the study, or all of it.

    `tracking_uri` moves the study to another store, also for later launches.

    Raises:
        UserError: there is no such study, or it is running and its driver mirrors it.
        CorruptFile: a file of the study is damaged.
        StorageError: the store cannot be reached or written.
    """
    copies = local_runs(runs)
    spec, directory = find_study(study, copies)
    with hold_study(directory):
        with study_files(directory).changing(directory.tracking_uri):
            store = tracking_store(directory, copies, tracking_uri)
        record_store = RecordStore(spec, directory)
        records = record_store.records()
        front = ordered_front(records, spec.objectives)
        outcome: Outcome = "interrupted"
        if is_finished(spec, records, record_store.launches()):
            outcome = "finished" if front else "failed"
        rebuild(
            store,
            spec,
            records,
            origin=study_origin(directory),
            outcome=outcome,
            description=study_description(
                spec,
                command=_command(directory.specification, runs),
                front=front,
                records=records,
            ),
            class_counts=functools.partial(class_counts, directory),
        )
    return SyncReport(store.tracking_uri, len(records))


def _command(specification: Path, runs: Path | str) -> str:
    """Return the command that continues the study from any working directory of this host.

    It names the copy of the study file in the study's directory, since the user's file is not
    known here.
    """
    place = runs if is_remote(runs) else Path(runs).absolute()
    return shlex.join(["balpoe", "run", str(specification), OPTION, str(place)])
