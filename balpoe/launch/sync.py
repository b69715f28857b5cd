"""The verb `sync`: MLflow rebuilt from the truth."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from balpoe.launch import RUNS
from balpoe.launch.lookup import study_of
from balpoe.launch.runs import OPTION, is_remote, local_runs
from balpoe.launch.tracking import tracking_store
from balpoe.study.object_store.study_files import study_files
from balpoe.study.records.record_store import RecordStore
from balpoe.study.search.spent_budget import is_finished
from balpoe.study.selection.front import ordered_front
from balpoe.study.storage.study_storage import hold_study
from balpoe.study.trials.environment import current_environment
from balpoe.tracking import Origin, Outcome, rebuild, study_description


@dataclass(frozen=True, slots=True)
class SyncReport:
    """Where the study is mirrored now, and with how many runs of trials."""

    tracking_uri: str
    runs: int


def sync(study: str, *, runs: Path | str = RUNS, tracking_uri: str | None = None) -> SyncReport:
    """Bring MLflow up to date with the study, also where it holds nothing of it.

    `tracking_uri` moves the study to another store, for later launches too.

    Raises:
        UserError: there is no such study, or it is running: then its driver mirrors it.
        CorruptFile: a file of the study is damaged.
        StorageError: the store refuses, or cannot be reached.
    """
    copies = local_runs(runs)
    spec, directory = study_of(study, copies)
    with hold_study(directory):
        with study_files(directory).changing(directory.tracking_uri):
            store = tracking_store(directory, copies, tracking_uri)
        truth = RecordStore(spec, directory)
        records = truth.records()
        front = ordered_front(records, spec.objectives)
        outcome: Outcome = "interrupted"
        if is_finished(spec, records, truth.launches()):
            outcome = "finished" if front else "failed"
        environment = current_environment()
        rebuild(
            store,
            spec,
            records,
            origin=Origin(environment.user, environment.git_commit),
            outcome=outcome,
            description=study_description(
                spec,
                command=_continuation(directory.specification, runs),
                front=front,
                records=records,
            ),
        )
    return SyncReport(store.tracking_uri, len(records))


def _continuation(specification: Path, runs: Path | str) -> str:
    """What continues the study from any working directory of this host.

    Its file is the one that was kept with it, the user's own being unknown here. Of a study on
    an object store that is this host's copy, and `--runs` still the store.
    """
    place = runs if is_remote(runs) else Path(runs).absolute()
    return shlex.join(["balpoe", "run", str(specification), OPTION, str(place)])
