"""Why the worker of a trial died, from what Ray and Tune say of it."""

from __future__ import annotations

from pathlib import Path

from ray import cloudpickle
from ray.exceptions import ActorUnavailableError, RayActorError
from ray.tune.experiment import Trial

from balpoe.study.trials.failures import Failure

# how Ray's memory monitor and its control store explain themselves
_MEMORY_MONITOR = "running low on memory"
_NODE_DIED = "its node has died"


def failure_of_worker(trial: Trial) -> Failure:
    """What Tune wrote down about the error, below its own heading, and its class.

    A worker that died on a living node has its death told by the node within a second. One
    that is out of reach and of which nobody tells is on a node that is dead or cut off, though
    Ray may take a minute more to find that out.
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
    """The error itself; Tune keeps no file of some of Ray's own."""
    if trial.pickled_error_file is None:
        return None
    with open(trial.pickled_error_file, "rb") as file:
        error: BaseException = cloudpickle.load(file)
    return error


def _is_raised(error: BaseException) -> bool:
    """Whether Python code of the worker raised the error."""
    return not isinstance(error, RayActorError) or error.actor_init_failed
