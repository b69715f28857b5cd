"""The verb `stop`: a driver on this host is asked to stop its study."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from balpoe.errors import UserError
from balpoe.launch import RUNS
from balpoe.launch.lookup import study_of
from balpoe.launch.runs import local_runs
from balpoe.study.storage.lease import LeaseHolder
from balpoe.study.storage.study_storage import driver_of

_PAUSE_SECONDS = 0.2


def stop(study: str, *, runs: Path | str = RUNS) -> LeaseHolder | None:
    """Stop the study gently, as Ctrl-C would, and wait until it has.

    Returns:
        The driver that was stopped; None where the study was not being run.

    Raises:
        UserError: there is no such study, or its driver runs on another host.
    """
    holder = ask_to_stop(study, runs=runs)
    if holder is not None:
        wait_until_stopped(study, holder, runs=runs)
    return holder


def ask_to_stop(study: str, *, runs: Path | str = RUNS) -> LeaseHolder | None:
    """Send the driver of the study SIGINT, and say who it is; None where there is none.

    Raises:
        UserError: there is no such study, or its driver runs on another host.
    """
    _, directory = study_of(study, local_runs(runs))
    holder = driver_of(directory)
    if holder is None:
        return None
    if not holder.is_here:
        raise UserError(f"{study}: is being run by {holder}; run `balpoe stop {study}` there")
    with suppress(ProcessLookupError):  # it has ended meanwhile
        os.kill(holder.pid, signal.SIGINT)
    return holder


def wait_until_stopped(study: str, holder: LeaseHolder, *, runs: Path | str = RUNS) -> None:
    """Return once `holder` holds the study no more."""
    _, directory = study_of(study, local_runs(runs))
    while driver_of(directory) == holder:
        time.sleep(_PAUSE_SECONDS)
