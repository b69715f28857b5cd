"""What this package needs of Ray (2.60) beyond its documented interface.

`tests/cluster/test_ray_private.py` names what another release lacks.
"""

from __future__ import annotations

import re
from typing import Any

from ray._private.utils import read_ray_address
from ray.job_submission import JobSubmissionClient

# A program that connects to the control store at its argument. `ray.init` retries a wrong token
# for twenty seconds, and aborts the process if there is no token.
CONNECT = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1])"
# Loggers that report every upload of a job, and may have levels of their own.
UPLOAD_LOGGERS = (
    "ray",
    "ray._private.runtime_env.packaging",
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
)
# Lines that Ray writes to a job's log before the output of its command.
JOB_LOG_HEADER = re.compile(
    r"^(\S+ \S+\tINFO job_manager\.py:\d+ -- |Running entrypoint for job ).*\n", re.MULTILINE
)
REQUEST_SECONDS = 30.0


def local_address() -> str | None:
    """The address of the cluster that this host's node belongs to, or None."""
    found: str | None = read_ray_address()
    return found


class JobClient(JobSubmissionClient):
    """Ray's client for jobs, with a time limit for each request."""

    def _do_request(self, *arguments: Any, **options: Any) -> Any:
        return super()._do_request(*arguments, **{"timeout": REQUEST_SECONDS, **options})
