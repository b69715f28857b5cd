"""The living nodes of Ray, and which of them are large enough for one training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ray

from balpoe.errors import UserError


@dataclass(frozen=True, slots=True)
class Node:
    """A living node; `name` is the one that users know."""

    key: str
    name: str
    cpus: float
    gpus: float


def living_nodes() -> list[Node]:
    """Return the living nodes of the connected cluster."""
    found = []
    for node in ray.nodes():  # type: ignore[no-untyped-call]  # Ray's
        if node["Alive"]:
            resources: Mapping[str, float] = node["Resources"]
            name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            cpus, gpus = resources.get("CPU", 0), resources.get("GPU", 0)
            found.append(Node(node["NodeID"], name, cpus, gpus))
    return found


def large_nodes(*, cpus: float, gpus: float) -> list[Node]:
    """Return the living nodes that have room for a training, which runs on one node.

    Raises:
        UserError: no node is large enough.
    """
    living = living_nodes()
    found = [node for node in living if node.cpus >= cpus and node.gpus >= gpus]
    if not found:
        most_cpus = max((node.cpus for node in living), default=0)
        most_gpus = max((node.gpus for node in living), default=0)
        raise UserError(
            f"no node has {cpus:g} CPUs and {gpus:g} GPUs, as one training asks for; a node has "
            f"at most {most_cpus:g} CPUs, and at most {most_gpus:g} GPUs; ask for less (of a "
            f"study: resources.cpus_per_trial and gpus_per_trial), or start larger nodes"
        )
    return found
