"""The connection of this process to a cluster, as a driver."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from balpoe.cluster.address import LOCAL, reachable_address
from balpoe.errors import UserError
from balpoe.study.execution.interruption import exit_at_sigterm
from balpoe.study.execution.ray_session import closing_ray


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Make this process a driver of the cluster at `address` within the block.

    Nothing is started on this host, and the cluster outlives the block. With the address `local`
    nothing happens: a study or a training starts Ray itself if it needs it.

    Raises:
        UserError: no cluster answers there, or it refuses this process.
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
            f"--address {found}: Ray cannot join it: {reason}; run the command on a node of "
            f"the cluster (`ray start --address {found}` makes this host one), or use "
            f"`balpoe submit`"
        ) from error
    # `ray.init` replaces the handler of SIGTERM.
    with closing_ray(), exit_at_sigterm():
        yield
