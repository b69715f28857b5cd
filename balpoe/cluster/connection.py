"""A process that joins a cluster for a while, as its driver."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from balpoe.cluster.address import LOCAL, reachable_address
from balpoe.errors import UserError
from balpoe.study.execution.interruption import exit_at_sigterm
from balpoe.study.execution.ray_session import leaving_ray


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Within the block this process is a driver of the cluster at `address`.

    Nothing is started on this host, and the cluster outlives the block; the address `local`
    leaves everything to whoever needs Ray.

    Raises:
        UserError: no cluster answers there, or it does not take this process in.
    """
    if address == LOCAL:
        yield
        return
    found = reachable_address(address)
    try:
        ray.init(address=found, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"--address {found}: Ray refuses to join it: {reason}; run the command on a node of "
            f"the cluster (`ray start --address {found}` makes this host one), or use "
            f"`balpoe submit`"
        ) from error
    # Ray has put its own handler of SIGTERM in the place of ours
    with leaving_ray(), exit_at_sigterm():
        yield
