"""Ray's jobs: commands that run on a cluster's head, started through its dashboard.

The address is the dashboard's, `http://HEAD:8265`. A job survives the loss of the connection, and
its log is then read on from where reading stopped.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ray.job_submission import JobDetails, JobStatus

from balpoe.cluster.address import WRONG_TOKEN
from balpoe.cluster.ray_private import JOB_LOG_HEADER, UPLOAD_LOGGERS, JobClient
from balpoe.errors import UserError
from balpoe.exit_status import INTERNAL_ERROR, SIGNALLED

POLL_SECONDS, PATIENCE_SECONDS = 1.0, 600.0
STOPPED, UNKNOWN = SIGNALLED + signal.SIGTERM, INTERNAL_ERROR
_OVERRIDES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")


@dataclass(frozen=True, slots=True)
class Job:
    """A command on a cluster.

    `status` is Ray's name for it. `exit_status` is that of the command, None while it runs.
    `metadata` was given when it was submitted. `started` is in Unix seconds.
    """

    name: str
    status: str
    exit_status: int | None
    metadata: Mapping[str, str]
    started: float | None


class Jobs:
    """The jobs of the cluster whose dashboard is at `address`.

    The constructor and all methods raise `UserError` if the dashboard does not answer or does not
    accept this process's token.
    """

    def __init__(self, address: str) -> None:
        if not address.startswith(("http://", "https://")):
            raise UserError(
                f"--address {address}: must be that of Ray's dashboard on the head, such as "
                f"http://HEAD:8265"
            )
        for name in _OVERRIDES:
            if os.environ.get(name, address) != address:
                raise UserError(
                    f"{name}={os.environ[name]}: Ray would use this instead of --address "
                    f"{address}; unset it"
                )
        self._address = address
        for name in UPLOAD_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        with self._user_errors():
            self._client = JobClient(address)

    def submitted(self) -> Iterator[Job]:
        """All submitted jobs that the cluster still lists."""
        with self._user_errors():
            found = self._client.list_jobs()
        return (_job(details) for details in found if details.submission_id)

    def submit(
        self, name: str, command: str, *, file: Path | None = None, metadata: Mapping[str, str]
    ) -> None:
        """Start `command` on the head, in a directory that holds only a copy of `file`."""
        environment = {"working_dir": str(file.parent)} if file is not None else None
        with self._user_errors():
            self._client.submit_job(
                entrypoint=command,
                submission_id=name,
                runtime_env=environment,
                metadata=dict(metadata),
            )

    def follow(self, name: str, write: Callable[[str], None]) -> int:
        """Write the output of a job until it ends; return its exit status."""
        written, last_answer = 0, time.monotonic()
        while True:
            try:
                with self._user_errors():
                    job = _job(self._client.get_job_info(name))
                    log = self._client.get_job_logs(name)
            except UserError:
                if time.monotonic() - last_answer > PATIENCE_SECONDS:
                    raise
            else:
                last_answer = time.monotonic()
                output = _command_output(log, is_ended=job.exit_status is not None)
                write(output[written:])
                written = len(output)
                if job.exit_status is not None:
                    return job.exit_status
            time.sleep(POLL_SECONDS)

    def execute(self, name: str, command: str, write: Callable[[str], None]) -> int:
        """Run a short command on the head, write its output, and delete its job."""
        job = f"{name}-{secrets.token_hex(4)}"
        self.submit(job, command, metadata={})
        status = self.follow(job, write)
        with self._user_errors():
            self._client.delete_job(job)
        return status

    @contextmanager
    def _user_errors(self) -> Iterator[None]:
        """Raise `UserError` for any request that fails within the block."""
        try:
            yield
        # The exceptions of requests are OSErrors; Ray's are RuntimeErrors, AuthenticationError too.
        except (OSError, RuntimeError) as error:
            raise UserError(f"--address {self._address}: {_reason(error)}") from error


def _command_output(log: str, *, is_ended: bool) -> str:
    """The log without Ray's own lines, and without an incomplete last line of a running job."""
    return JOB_LOG_HEADER.sub("", log if is_ended else log[: log.rfind("\n") + 1])


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
    if code is None:  # its node was lost, or it was stopped before it started
        return STOPPED if details.status == JobStatus.STOPPED else UNKNOWN
    return code if code >= 0 else SIGNALLED - code


def _reason(error: Exception) -> str:
    text = str(error).strip()
    if "ray[default]" in text:
        return "Ray's jobs need the extra ray[default]: install balpoe[cluster]"
    if "oken" in text:
        return WRONG_TOKEN
    first = text.splitlines()[0] if text else type(error).__name__
    return f"{first}; check the address, and that the head was started with its dashboard"
