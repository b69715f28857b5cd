"""Ray's jobs: commands that run on a cluster's head, reached through its dashboard.

The address is the dashboard's, `http://HEAD:8265`. A connection that is lost costs nothing: the
job goes on, and its log is read on where it was left.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ray.job_submission import JobDetails, JobStatus

from balpoe.errors import UserError
from balpoe.exit_status import OUR_ERROR, SIGNALLED
from balpoe.study.execution.ray_internals import job_client

REQUEST_SECONDS, POLL_SECONDS, PATIENCE_SECONDS = 30.0, 1.0, 600.0
STOPPED, UNKNOWN = SIGNALLED + signal.SIGTERM, OUR_ERROR
_RAYS_OWN = re.compile(
    r"^(\S+ \S+\tINFO job_manager\.py:\d+ -- |Running entrypoint for job ).*\n", re.MULTILINE
)
_TALKATIVE = (  # they tell of each upload, and may have levels of their own
    "ray",
    "ray._private.runtime_env.packaging",
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
)
_OVERRIDES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")


@dataclass(frozen=True, slots=True)
class Job:
    """A command on a cluster.

    `status` is Ray's word; `exit_status` that of the command, None while it runs. `metadata`
    is what it was submitted with, `started` Unix seconds.
    """

    name: str
    status: str
    exit_status: int | None
    metadata: Mapping[str, str]
    started: float | None


class Jobs:
    """The jobs of the cluster whose dashboard is at `address`.

    Raises:
        UserError: nobody answers there, or it does not take this process's token. So do the
            methods.
    """

    def __init__(self, address: str) -> None:
        if not address.startswith(("http://", "https://")):
            raise UserError(
                f"--address {address}: must be that of Ray's dashboard on the head, such as "
                f"http://HEAD:8265"
            )
        set_here = [name for name in _OVERRIDES if os.environ.get(name, address) != address]
        if set_here:
            raise UserError(
                f"{set_here[0]}={os.environ[set_here[0]]}: Ray would use this instead of "
                f"--address {address}; unset it"
            )
        self._address = address
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        with self._requested():
            self._client = job_client(address, timeout_seconds=REQUEST_SECONDS)

    def submitted(self) -> Iterator[Job]:
        """All jobs that were submitted and that the cluster remembers."""
        with self._requested():
            found = self._client.list_jobs()
        return (_job(details) for details in found if details.submission_id)

    def submit(
        self, name: str, command: str, *, file: Path | None = None, metadata: Mapping[str, str]
    ) -> None:
        """Start `command` on the head, in a directory that holds a copy of `file` alone."""
        environment = {"working_dir": str(file.parent)} if file is not None else None
        with self._requested():
            self._client.submit_job(
                entrypoint=command,
                submission_id=name,
                runtime_env=environment,
                metadata=dict(metadata),
            )

    def follow(self, name: str, write: Callable[[str], None]) -> int:
        """Write what a job prints until it ends; return its exit status."""
        shown, heard = 0, time.monotonic()
        while True:
            try:
                with self._requested():
                    job = _job(self._client.get_job_info(name))
                    log = self._client.get_job_logs(name)
            except UserError:
                if time.monotonic() - heard > PATIENCE_SECONDS:
                    raise
            else:
                heard = time.monotonic()
                told = _told(log, is_over=job.exit_status is not None)
                write(told[shown:])
                shown = len(told)
                if job.exit_status is not None:
                    return job.exit_status
            time.sleep(POLL_SECONDS)

    def answer(self, name: str, command: str, write: Callable[[str], None]) -> int:
        """Run a short command on the head, write what it prints, and leave no trace of it."""
        job = f"{name}-{secrets.token_hex(4)}"
        self.submit(job, command, metadata={})
        status = self.follow(job, write)
        with self._requested():
            self._client.delete_job(job)
        return status

    @contextmanager
    def _requested(self) -> Iterator[None]:
        """Within the block the cluster is asked for something."""
        try:
            yield
        # requests' own errors are OSErrors; Ray's are RuntimeErrors, that of a token too
        except (OSError, RuntimeError) as error:
            raise UserError(f"--address {self._address}: {_reason(error)}") from error


def _told(log: str, *, is_over: bool) -> str:
    """What the command printed: whole lines as long as it runs, and none of Ray's own."""
    whole = log if is_over else log[: log.rfind("\n") + 1]
    return _RAYS_OWN.sub("", whole)


def _job(details: JobDetails) -> Job:
    return Job(
        name=details.submission_id or "",
        status=details.status.value,
        exit_status=_exit_status(details),
        metadata=details.metadata or {},
        started=details.start_time / 1000 if details.start_time else None,
    )


def _exit_status(details: JobDetails) -> int | None:
    if not details.status.is_terminal():
        return None
    if details.status == JobStatus.SUCCEEDED:
        return 0
    code = details.driver_exit_code
    if code is None:  # its node was lost, or it was stopped before it began
        return STOPPED if details.status == JobStatus.STOPPED else UNKNOWN
    return code if code >= 0 else SIGNALLED - code


def _reason(error: Exception) -> str:
    text = str(error)
    if "ray[default]" in text:
        return "Ray's jobs need more of Ray here: install balpoe[cluster]"
    if "oken" in text:
        return (
            "the cluster does not take this process's token, or the lack of one; set "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH (or RAY_AUTH_TOKEN) as on its nodes"
        )
    first = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    return f"{first}; check the address, and that the head was started with its dashboard"
