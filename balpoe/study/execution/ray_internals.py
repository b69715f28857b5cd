"""Ray's and Tune's private names, which only this module uses.

tests/study/test_private_names.py names those that another version of Ray lacks. Ray is imported
where it is needed: some commands do without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

CONNECT_TO_CONTROL_STORE = (
    "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1])"
)
"""A program that ends with status 0 if the cluster at the address that it is given lets it in."""


@contextmanager
def without_aws_keys() -> Iterator[None]:
    """Keep Tune from sending the driver's AWS keys to its workers within the block.

    Ray logs what is sent so on every node. Each node has credentials of its own.
    """
    from ray.tune.execution import class_cache

    sent = class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.ENV_VARS_TO_PROPAGATE = {name for name in sent if not name.startswith("AWS_")}
    try:
        yield
    finally:
        class_cache.ENV_VARS_TO_PROPAGATE = sent


def address_on_this_host() -> str | None:
    """Return the address of the cluster that this host's Ray node belongs to; None without one."""
    from ray._private.utils import read_ray_address

    address: str | None = read_ray_address()
    return address


def job_client(address: str, *, timeout_seconds: float) -> JobSubmissionClient:
    """Return Ray's client for jobs; unlike Ray's own, its requests have a timeout."""
    from ray.job_submission import JobSubmissionClient

    class Client(JobSubmissionClient):
        def _do_request(self, *arguments: Any, **options: Any) -> Any:
            return super()._do_request(*arguments, **{"timeout": timeout_seconds, **options})

    return Client(address)
