"""The commands that steer a running study: `stop --trial` and `try`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from balpoe.config import Choice, StudySpec
from balpoe.config.fields import searchable_fields, why_not_searchable
from balpoe.config.known_points import known_points
from balpoe.errors import UserError
from balpoe.launch import RUNS
from balpoe.launch.runs import VARIABLE as CACHE
from balpoe.launch.runs import drivers_runs, find_study, is_remote, local_runs
from balpoe.study.records.record_store import spent_so_far, summaries, with_repeats
from balpoe.study.search.spent_budget import search_is_over
from balpoe.study.storage.lease import LeaseHolder
from balpoe.study.storage.storage_record import driver_of
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.requests import PendingRequest, Request, write_request

_POLL_SECONDS = 0.2
_ANSWER_SECONDS = 180.0
"""A driver that begins its launch may first load data, connect to a cluster and start Ray."""


def stop_trial(study: str, trial: int, *, runs: Path | str = RUNS) -> str:
    """Have the driver end a running trial as pruned after its epoch; return its answer.

    Raises:
        UserError: there is no such study or running trial, or no driver runs it on this host.
    """
    _, directory = find_study(study, local_runs(runs))
    driver = driver_of(directory)
    if driver is None:
        raise UserError(f"{study}: is not being run, so that no trial of it can be stopped")
    return _answer(study, Request("stop trial", trial=trial), driver, directory, runs)


def try_point(study: str, assignments: Sequence[str], *, runs: Path | str = RUNS) -> str:
    """Have a study try a point next; return the answer of its driver, or that the point waits.

    `assignments` are KEY=VALUE with fields of the configuration by dotted path. Fields that are not
    given keep the value of the study file, as at a known point.

    Raises:
        UserError: there is no such study, an assignment is invalid, or the point is refused.
    """
    spec, directory = find_study(study, local_runs(runs))
    point = parsed_point(spec, assignments)
    _refuse_finished_search(spec, directory)
    request = Request("try", point=point)
    driver = driver_of(directory)
    if driver is not None:
        return _answer(study, request, driver, directory, runs)
    if is_remote(runs):
        raise UserError(f"{study}: is not being run; start it, then repeat this")
    write_request(directory.requests, request)
    return "no process runs the study: the next launch tries this point first"


def _refuse_finished_search(spec: StudySpec, directory: StudyDirectory) -> None:
    trials = summaries(spec, directory)
    spent = spent_so_far(spec, directory, with_repeats(spec, directory, trials))
    if search_is_over(spec, trials, spent):
        raise UserError(f"{spec.name}: the search is finished; raise its budget in the study file")


def parsed_point(spec: StudySpec, assignments: Sequence[str]) -> Mapping[str, Choice]:
    """Return the fields that `assignments` set, checked against the study.

    Raises:
        UserError: an assignment is not KEY=VALUE, its field cannot be searched or is given twice,
            or the study cannot try the point.
    """
    point: dict[str, Choice] = {}
    for assignment in assignments:
        path, found, text = assignment.partition("=")
        if not found:
            raise UserError(f"{assignment}: must be KEY=VALUE, such as mixup.alpha=0.2")
        if path not in searchable_fields():
            raise UserError(f"{assignment}: {path}: {why_not_searchable(path)}")
        if path in point:
            raise UserError(f"{assignment}: {path} is given twice")
        point[path] = _value(text)
    sorted_points = known_points({"": point}, spec.search, spec.base, spec.sampler)
    if sorted_points.left_out:
        raise UserError(f"{' '.join(assignments)}: {sorted_points.left_out['']}")
    return point


def _value(text: str) -> Choice:
    """Return a value as YAML reads it: true, false, an integer, a number or a text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _answer(
    study: str,
    request: Request,
    driver: LeaseHolder,
    directory: StudyDirectory,
    runs: Path | str,
) -> str:
    """Return what the driver answers to a request.

    Raises:
        UserError: the driver is on another host, has other working copies, refuses the request, or
            ends before it answers.
    """
    if not driver.is_here:
        raise UserError(f"{study}: is being run by {driver}; repeat this there")
    own = StudyDirectory.of(drivers_runs(runs), study)
    if not own.specification.is_file():
        raise UserError(
            f"{study}: {driver} has its working copy elsewhere than in {own.path}; set {CACHE} as "
            f"for the driver"
        )
    pending = write_request(own.requests, request)
    try:
        return _awaited(study, pending, directory)
    except KeyboardInterrupt:
        pending.delete()
        raise


def _awaited(study: str, pending: PendingRequest, directory: StudyDirectory) -> str:
    deadline = time.monotonic() + _ANSWER_SECONDS
    while True:
        is_driven = driver_of(directory) is not None
        answer = pending.taken_answer()
        if answer is None and not is_driven:
            pending.delete()
            raise UserError(f"{study}: its driver ended before it took the request")
        if answer is not None and answer.refused:
            raise UserError(f"{study}: {answer.message}")
        if answer is not None:
            return answer.message
        if time.monotonic() > deadline:
            pending.delete()
            raise UserError(f"{study}: its driver has not answered for {_ANSWER_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)
