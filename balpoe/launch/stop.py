"""The command `stop`: stop the driver of a study on this host."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from balpoe.errors import UserError
from balpoe.launch import RUNS
from balpoe.launch.runs import find_study, local_runs
from balpoe.study.storage.lease import LeaseHolder
from balpoe.study.storage.storage_record import driver_of

_POLL_SECONDS = 0.2


def stop(
    study: str,
    *,
    runs: Path | str = RUNS,
    on_request: Callable[[LeaseHolder], None] = lambda holder: None,
) -> LeaseHolder | None:
    """Stop the study after the running epochs, as Ctrl-C does, and wait until it has stopped.

    `on_request` is called before the wait, with the driver of the study.

    Returns:
        The driver that was stopped, or None if the study was not running.

    Raises:
        UserError: there is no such study, or its driver runs on another host.
    """
    _, directory = find_study(study, local_runs(runs))
    holder = driver_of(directory)
    if holder is None:
        return None
    if not holder.is_here:
        raise UserError(f"{study}: is being run by {holder}; run `balpoe stop {study}` there")
    with suppress(ProcessLookupError):  # the driver has just ended
        os.kill(holder.pid, signal.SIGINT)
    on_request(holder)
    while driver_of(directory) == holder:
        time.sleep(_POLL_SECONDS)
    return holder
