"""Before any trial: whether every node that could run one is fit to.

All faults of all nodes are told at once, each in a line that names the node and the cure.
"""

from __future__ import annotations

import pickle
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ray
from ray import ObjectRef, cloudpickle
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from balpoe.cluster import node_inspection
from balpoe.cluster.node_inspection import NodeAnswer, inspect_node
from balpoe.cluster.verdict import NodeReport, faults, remarks
from balpoe.config import Configuration, DataConfig
from balpoe.config.image_sources import CifarLT
from balpoe.errors import UserError
from balpoe.study.execution import software as software_module
from balpoe.study.execution.ray_nodes import Node, large_nodes, living_nodes
from balpoe.study.execution.software import Software, software
from balpoe.study.object_store.remote_directory import RemoteDirectory
from balpoe.study.storage import host as host_module
from balpoe.study.storage.host import Host

INSPECTION_SECONDS, FETCHING_SECONDS = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class TrialNeeds:
    """What a trial needs of its node: CPUs, GPUs, the data of `configuration`, a directory."""

    configuration: Configuration
    directory: Path | RemoteDirectory
    cpus: float
    gpus: float


@dataclass(frozen=True, slots=True)
class FitNodes:
    """The hosts of nodes that can run trials.

    `remarks` has a line for each difference of a node that decides nothing.
    """

    hosts: frozenset[Host]
    remarks: tuple[str, ...]


def refuse_unfit_nodes(needs: TrialNeeds) -> FitNodes:
    """Inspect all nodes of the connected cluster that are large enough for a trial.

    A node that leaves the cluster meanwhile is ignored.

    Raises:
        UserError: a node is unfit, or no node is large enough.
    """
    nodes = large_nodes(cpus=needs.cpus, gpus=needs.gpus)
    ours = software()
    reports = list(_reports(nodes, needs, ours))
    found = list(faults(reports, ours))
    if found:
        raise UserError("\n".join(("the cluster cannot run this yet:", *found)))
    hosts = frozenset(report.host for report in reports if report.host is not None)
    return FitNodes(hosts, tuple(remarks(reports, ours)))


def _reports(nodes: list[Node], needs: TrialNeeds, ours: Software) -> Iterator[NodeReport]:
    token, asked = secrets.token_hex(8), time.time()
    probes = [_Probe(needs.directory, f".preflight-{node.key}-{token}") for node in nodes]
    seconds = _patience(needs.configuration.data)
    try:
        answers = [
            _asked(node, needs, ours, probe, token)
            for node, probe in zip(nodes, probes, strict=True)
        ]
        ray.wait(answers, num_returns=len(answers), timeout=seconds)
        still_living = {node.key for node in living_nodes()}
        for node, probe, answer in zip(nodes, probes, answers, strict=True):
            between = (asked, time.time())
            report = _report(node, answer, seconds, between, is_seen=probe.holds(token))
            if report.software is not None or node.key in still_living:
                yield report
    finally:
        for probe in probes:
            probe.remove()


def _patience(data: DataConfig) -> float:
    fetches = isinstance(data, CifarLT) and data.download
    return FETCHING_SECONDS if fetches else INSPECTION_SECONDS


def _asked(
    node: Node, needs: TrialNeeds, ours: Software, probe: _Probe, token: str
) -> ObjectRef[NodeAnswer]:
    """A node's answer to come."""
    gpus = int(node.gpus) if needs.gpus else 0
    where = NodeAffinitySchedulingStrategy(node.key, soft=False)
    with _by_value():
        inspect = ray.remote(inspect_node).options(
            num_cpus=0, max_retries=0, scheduling_strategy=where
        )
        return inspect.remote(ours, str(probe), token, gpus, pickle.dumps(needs.configuration))


@contextmanager
def _by_value() -> Iterator[None]:
    modules = (node_inspection, software_module, host_module)
    for module in modules:
        cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]  # Ray's
    try:
        yield
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)  # type: ignore[no-untyped-call]  # Ray's


def _report(
    node: Node,
    answer: ObjectRef[NodeAnswer],
    seconds: float,
    between: tuple[float, float],
    *,
    is_seen: bool,
) -> NodeReport:
    """What a node told that was asked and answered `between` two moments."""
    try:
        told = ray.get(answer, timeout=0)
    except GetTimeoutError:
        ray.cancel(answer, force=True)
        fault = f"does not answer within {seconds:g} seconds; restart it, or take it away"
        return NodeReport(name=node.name, faults=(fault,))
    except RayError as error:
        reason = str(error).strip().splitlines()[-1]
        fault = f"cannot answer for itself: {reason}; mend it, or take it away"
        return NodeReport(name=node.name, faults=(fault,))
    return NodeReport(
        name=node.name,
        host=Host(**told["host"]),
        software=told["software"],
        faults=tuple(told["faults"]),
        is_seen=is_seen,
        sizes=told["sizes"],
        ahead_seconds=_ahead(told["time"], *between),
    )


def _ahead(told: float, first: float, last: float) -> float:
    """By how much a clock is wrong at least that showed `told` between two moments."""
    return told - min(max(told, first), last)


@dataclass(frozen=True, slots=True)
class _Probe:
    """A file, or an object, that a node is to write and the driver to read."""

    directory: Path | RemoteDirectory
    name: str

    def __str__(self) -> str:
        if isinstance(self.directory, RemoteDirectory):
            return f"{self.directory.url}/{self.name}"
        return str(self.directory / self.name)

    def holds(self, token: str) -> bool:
        if isinstance(self.directory, RemoteDirectory):
            return self.directory.read(self.name) == token.encode()
        try:
            return (self.directory / self.name).read_text() == token
        except OSError:
            return False

    def remove(self) -> None:
        if isinstance(self.directory, RemoteDirectory):
            self.directory.delete(self.name)
        else:
            (self.directory / self.name).unlink(missing_ok=True)
