"""The verb `run`: one launch of a study, from its file to its front."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from balpoe.atomic_write import write_text_atomically
from balpoe.config import StudySpec
from balpoe.data import with_absolute_paths
from balpoe.errors import UserError
from balpoe.exporting import current_environment
from balpoe.files import dump_study, load_study
from balpoe.launch.continuation import refuse_changes
from balpoe.launch.lease import hold_lease
from balpoe.study.directory import StudyDirectory
from balpoe.study.events import Listener, StudyEvent, TrialEnded, TrialStarted
from balpoe.study.executor import run_trials
from balpoe.study.record import TrialRecord
from balpoe.study.selection import by_accuracy, pareto_front
from balpoe.study.store import RecordStore
from balpoe.tracking import (
    MirrorReport,
    MirrorWriter,
    Origin,
    Outcome,
    local_store,
    start_mirror,
    study_description,
)

RUNS = Path("runs")

Watch = Callable[[StudySpec, tuple[TrialRecord, ...]], AbstractContextManager[Listener]]


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """How a launch ended: what the study holds now.

    `stopped_by` is the signal that stopped it, None where the budget is spent; `front` has
    the best first. `was_finished` tells that there was nothing left to do.
    """

    spec: StudySpec
    directory: StudyDirectory
    records: tuple[TrialRecord, ...]
    front: tuple[TrialRecord, ...]
    stopped_by: signal.Signals | None
    mirror: MirrorReport
    was_finished: bool


@contextmanager
def unwatched(spec: StudySpec, earlier: Sequence[TrialRecord]) -> Iterator[Listener]:
    """Nobody follows the launch."""
    yield lambda event: None


def run(
    study_file: Path | str, *, runs: Path | str = RUNS, watch: Watch = unwatched
) -> StudyOutcome:
    """Start a study, or continue it where it was stopped or killed.

    `watch` is given the study and the trials it has so far, and makes the listener that
    follows the launch.

    Raises:
        UserError: the file, the machine or the directory is at fault; the message says how.
    """
    spec = load_study(study_file)
    spec = replace(spec, base=replace(spec.base, data=with_absolute_paths(spec.base.data)))
    directory = StudyDirectory.of(Path(runs), spec.name)
    directory.create()
    with hold_lease(directory.lease):
        _keep_specification(spec, directory, str(study_file))
        return _launch(spec, directory, Path(runs), f"balpoe run {study_file}", watch)


def study_of(name: str, runs: Path) -> tuple[StudySpec, StudyDirectory]:
    """The study `name` as it was last launched.

    Raises:
        UserError: there is none.
    """
    directory = StudyDirectory.of(runs, name)
    if not directory.specification.is_file():
        known = sorted(path.parent.name for path in runs.glob(f"*/{directory.specification.name}"))
        there = f"; there are: {', '.join(known)}" if known else ""
        raise UserError(f"{name}: no such study in {runs}{there}")
    return load_study(directory.specification), directory


def is_finished(spec: StudySpec, records: Sequence[TrialRecord]) -> bool:
    """Whether the budget is spent and no trial is left to be taken up."""
    ended = [record for record in records if record.state != "RUNNING"]
    return len(ended) == len(records) and len(ended) >= spec.budget.trials


def _keep_specification(spec: StudySpec, directory: StudyDirectory, file: str) -> None:
    if directory.specification.is_file():
        refuse_changes(load_study(directory.specification), spec, file)
    write_text_atomically(directory.specification, dump_study(spec))


def _launch(
    spec: StudySpec, directory: StudyDirectory, runs: Path, command: str, watch: Watch
) -> StudyOutcome:
    store = RecordStore(spec, directory)
    environment = current_environment()
    mirror = start_mirror(
        local_store(runs),
        spec,
        Origin(environment.user, environment.git_commit),
        study_description(spec, command=command),
    )
    earlier = store.records()
    for record in earlier:
        mirror.submit(record)
    stopped_by = None
    if not is_finished(spec, earlier):
        with watch(spec, earlier) as follow:
            stopped_by = run_trials(spec, directory, _both(_reflector(store, mirror), follow))
    records = store.records()
    front = by_accuracy(pareto_front(records, spec.objectives))
    report = mirror.close(
        _outcome(front, stopped_by),
        description=study_description(spec, command=command, front=front),
    )
    return StudyOutcome(
        spec, directory, records, front, stopped_by, report, is_finished(spec, earlier)
    )


def _reflector(store: RecordStore, mirror: MirrorWriter) -> Listener:
    """Hands the record of a trial to the mirror when it begins and when it ends."""

    def reflect(event: StudyEvent) -> None:
        if isinstance(event, TrialStarted | TrialEnded):
            mirror.submit(store.record(event.identity.number))

    return reflect


def _both(first: Listener, second: Listener) -> Listener:
    def tell(event: StudyEvent) -> None:
        first(event)
        second(event)

    return tell


def _outcome(front: tuple[TrialRecord, ...], stopped_by: signal.Signals | None) -> Outcome:
    if stopped_by is not None:
        return "interrupted"
    return "finished" if front else "failed"
