"""The check, before any trial, that every node large enough for a trial can run one.

All faults of all nodes are reported at once, each in one line with the node's name and a hint.
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
from balpoe.cluster.node_report import NodeReport, faults, remarks
from balpoe.config import Configuration
from balpoe.errors import UserError
from balpoe.study.execution import software as software_module
from balpoe.study.execution.ray_nodes import Node, large_nodes, living_nodes
from balpoe.study.execution.software import Software, software
from balpoe.study.object_store.remote_directory import RemoteDirectory
from balpoe.study.storage import host as host_module
from balpoe.study.storage.host import Host

INSPECTION_SECONDS, DOWNLOAD_SECONDS = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class TrialNeeds:
    """A trial's needs: CPUs, GPUs, the data of `configuration`, the study's directory."""

    configuration: Configuration
    directory: Path | RemoteDirectory
    cpus: float
    gpus: float


@dataclass(frozen=True, slots=True)
class FitNodes:
    """The hosts of nodes that can run trials.

    `remarks` has one line for each difference that does not exclude a node.
    """

    hosts: frozenset[Host]
    remarks: tuple[str, ...]


def refuse_unfit_nodes(needs: TrialNeeds) -> FitNodes:
    """Inspect all nodes of the connected cluster that are large enough for a trial.

    A node that leaves the cluster during the inspection is skipped.

    Raises:
        UserError: no node is large enough, or a node cannot run trials.
    """
    nodes = large_nodes(cpus=needs.cpus, gpus=needs.gpus)
    ours = software()
    reports = list(_reports(nodes, needs, ours))
    found = list(faults(reports, ours))
    if found:
        raise UserError("\n".join(("the cluster cannot run this yet:", *found)))
    hosts = frozenset(report.host for report in reports if report.host is not None)
    return FitNodes(hosts, tuple(remarks(reports, ours)))


def most_gpus() -> float:
    """The GPUs of the largest node of the connected cluster."""
    return max((node.gpus for node in living_nodes()), default=0.0)


def _reports(nodes: list[Node], needs: TrialNeeds, ours: Software) -> Iterator[NodeReport]:
    token, started = secrets.token_hex(8), time.time()
    probes = [_Probe(needs.directory, f".preflight-{node.key}-{token}") for node in nodes]
    downloads = needs.configuration.data.may_download
    seconds = DOWNLOAD_SECONDS if downloads else INSPECTION_SECONDS
    try:
        answers = [
            _start_inspection(node, needs, ours, probe, token)
            for node, probe in zip(nodes, probes, strict=True)
        ]
        ray.wait(answers, num_returns=len(answers), timeout=seconds)
        alive = {node.key for node in living_nodes()}
        for node, probe, answer in zip(nodes, probes, answers, strict=True):
            between = (started, time.time())
            report = _report(node, answer, seconds, between, is_seen=probe.holds(token))
            if report.software is not None or node.key in alive:
                yield report
    finally:
        for probe in probes:
            probe.remove()


def _start_inspection(
    node: Node, needs: TrialNeeds, ours: Software, probe: _Probe, token: str
) -> ObjectRef[NodeAnswer]:
    gpus = int(node.gpus) if needs.gpus else 0
    affinity = NodeAffinitySchedulingStrategy(node.key, soft=False)
    with _pickled_by_value():
        inspect = ray.remote(inspect_node).options(
            num_cpus=0, max_retries=0, scheduling_strategy=affinity
        )
        return inspect.remote(ours, str(probe), token, gpus, pickle.dumps(needs.configuration))


@contextmanager
def _pickled_by_value() -> Iterator[None]:
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
    """The report of a node that was inspected `between` two times of the driver's clock."""
    try:
        found = ray.get(answer, timeout=0)
    except GetTimeoutError:
        ray.cancel(answer, force=True)
        fault = f"does not answer within {seconds:g} seconds; restart or remove it"
        return NodeReport(name=node.name, faults=(fault,))
    except RayError as error:
        reason = str(error).strip().splitlines()[-1]
        fault = f"cannot be inspected: {reason}; fix or remove it"
        return NodeReport(name=node.name, faults=(fault,))
    first, last = between
    return NodeReport(
        name=node.name,
        host=Host(**found["host"]),
        software=found["software"],
        faults=tuple(found["faults"]),
        is_seen=is_seen,
        sizes=found["sizes"],
        ahead_seconds=found["time"] - min(max(found["time"], first), last),
    )


@dataclass(frozen=True, slots=True)
class _Probe:
    """A file or an object that a node writes and the driver reads."""

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
