"""The failure of a trial whose worker died, from the errors of Ray and Tune."""

from __future__ import annotations

from pathlib import Path

from ray import cloudpickle
from ray.exceptions import ActorUnavailableError, RayActorError
from ray.tune.experiment import Trial

from balpoe.study.trials.failures import Failure

# parts of the messages of Ray's memory monitor and of its control store (Ray 2.60)
_MEMORY_MONITOR = "running low on memory"
_NODE_DIED = "its node has died"


def failure_of_worker(trial: Trial) -> Failure:
    """Return the failure of a trial from the error that Tune has written for it.

    A living node reports the death of a worker within a second. A worker that is unavailable
    without such a report is on a node that is dead or cut off, which Ray may detect a minute later.
    """
    text = Path(trial.error_file).read_text()
    _heading, first, *rest = text.splitlines()
    error = _error_of(trial)
    if _MEMORY_MONITOR in first:
        return Failure("resource", f"Ray's memory monitor ended the worker: {first}")
    if error is not None and _is_raised(error):
        raised = next((line for line in reversed(rest) if line.strip()), first)
        return Failure("deterministic", f"the worker cannot run the trial: {raised}")
    if isinstance(error, ActorUnavailableError):
        return Failure("departure", f"the worker's node is out of reach: {first}")
    if _NODE_DIED in text or (isinstance(error, RayActorError) and error.preempted):
        return Failure("departure", "the worker's node left the cluster")
    return Failure("infrastructure", f"the worker died: {first}")


def _error_of(trial: Trial) -> BaseException | None:
    """Return the error, or None: Tune writes no file for some of Ray's errors."""
    if trial.pickled_error_file is None:
        return None
    with open(trial.pickled_error_file, "rb") as file:
        error: BaseException = cloudpickle.load(file)
    return error


def _is_raised(error: BaseException) -> bool:
    """Return whether Python code of the worker raised the error."""
    return not isinstance(error, RayActorError) or error.actor_init_failed
