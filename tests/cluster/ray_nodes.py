"""Real nodes of Ray on this host: each `ray start` has its own session, by which it is killed."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HIDING = Path(__file__).with_name("without_directory.sh")
RAY = str(Path(sys.executable).parent / "ray")
HEAD_IP = "127.0.0.254"
"""Not 127.0.0.1, which Ray replaces by the address of a real network interface."""
OBJECT_STORE_BYTES = 80_000_000
RENAMED = 'hostname "$0" && exec "$@"'
START_SECONDS = 120.0

# a dead or frozen node is given up after about six seconds instead of 65
HEALTH_CHECKS = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "2",
    # and a dead control store after three instead of 60
    "RAY_gcs_rpc_server_reconnect_timeout_s": "3",
}


class RayNode:
    """One `ray start --block` and all processes that it started."""

    def __init__(
        self,
        arguments: list[str],
        environment: dict[str, str],
        log: Path,
        *,
        hidden: Path | None,
        hostname: str | None,
    ) -> None:
        self.log = log
        hiding = ["unshare", "--mount", str(HIDING), str(hidden)] if hidden else []
        naming = ["unshare", "--uts", "sh", "-c", RENAMED, hostname] if hostname else []
        with log.open("w") as file:
            self._process = subprocess.Popen(
                [*hiding, *naming, RAY, "start", *arguments, "--block"],
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )

    @property
    def processes(self) -> list[int]:
        """All processes of the node: its session."""
        return [pid for pid in _all_processes() if _session_of(pid) == self._process.pid]

    def kill_named(self, name: str) -> int:
        """Kill the processes of the node whose executable is `name`; return their number."""
        named = [pid for pid in self.processes if _executable(pid) == name]
        for pid in named:
            os.kill(pid, signal.SIGKILL)
        return len(named)

    def signal(self, number: signal.Signals) -> None:
        """Send all processes of the node a signal at once."""
        for pid in self.processes:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """End the node as a power cut does."""
        while self.processes:
            self.signal(signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=0.1)

    def is_running(self) -> bool:
        """Whether its `ray start` runs, which ends when one of its processes ends."""
        return self._process.poll() is None


class RayCluster:
    """A head without CPUs, and a varying number of workers; tokens are required.

    `directory` must be a short path: sockets lie below it.
    """

    def __init__(self, directory: Path, *, dashboard: bool = False) -> None:
        self.directory = directory
        self._token = directory / "token"
        self._token.write_text(secrets.token_hex(32))
        self._token.chmod(0o600)
        self.nodes: list[RayNode] = []
        self._count = 1  # the last byte of each node's own loopback address
        ports = free_ports(4)
        self.address = f"{HEAD_IP}:{ports[0]}"
        self.dashboard = f"http://127.0.0.1:{ports[1]}"
        self.head = self._start(
            "--head",
            f"--node-ip-address={HEAD_IP}",
            f"--port={ports[0]}",
            f"--dashboard-port={ports[1]}",
            f"--ray-client-server-port={ports[2]}",
            f"--dashboard-agent-listen-port={ports[3]}",
            f"--include-dashboard={str(dashboard).lower()}",
            "--num-cpus=0",
            "--num-gpus=0",
            "--no-monitor",
        )
        self._await_port(ports[0])

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that has access to the cluster."""
        return {
            **os.environ,
            **HEALTH_CHECKS,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self._token),
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def start_node(
        self,
        *,
        cpus: int = 1,
        gpus: int = 0,
        hidden: Path | None = None,
        hostname: str | None = None,
        **variables: str,
    ) -> RayNode:
        """Start a worker with its own address; `variables` are added to its environment.

        Its own empty disk replaces the directory `hidden`, and its host is named `hostname`.
        """
        self._count += 1
        node = self._start(
            f"--address={self.address}",
            f"--node-ip-address=127.0.0.{self._count}",
            f"--num-cpus={cpus}",
            f"--num-gpus={gpus}",
            hidden=hidden,
            hostname=hostname,
            **variables,
        )
        self.nodes.append(node)
        return node

    def keep_nodes(self, count: int) -> None:
        """Start workers until `count` are alive."""
        for node in self.nodes:
            if not node.is_running():
                node.kill()
        self.nodes = [node for node in self.nodes if node.is_running()]
        while len(self.nodes) < count:
            self.start_node()

    def keep_one_node(self) -> None:
        """End all workers but one, and return when it has joined."""
        while len(self.nodes) > 1:
            self.nodes.pop().kill()
        self.keep_nodes(1)
        self.await_nodes()

    def await_nodes(self) -> None:
        """Return when all workers have joined."""
        deadline = time.monotonic() + START_SECONDS
        for node in (self.head, *self.nodes):
            while "Ray runtime started" not in node.log.read_text():
                assert time.monotonic() < deadline, node.log.read_text()
                time.sleep(0.2)

    def end(self) -> None:
        """End every process that it started."""
        for node in (*self.nodes, self.head):
            node.signal(signal.SIGCONT)
            node.kill()

    def _start(
        self,
        *arguments: str,
        hidden: Path | None = None,
        hostname: str | None = None,
        **variables: str,
    ) -> RayNode:
        name = f"n{self._count}"
        return RayNode(
            [
                *arguments,
                f"--temp-dir={self.directory / name}",
                f"--object-store-memory={OBJECT_STORE_BYTES}",
                "--disable-usage-stats",
                "--include-log-monitor=false",
            ],
            {**self.environment, **variables},
            self.directory / f"{name}.log",
            hidden=hidden,
            hostname=hostname,
        )

    def _await_port(self, port: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with suppress(OSError):
                return socket.create_connection((HEAD_IP, port), timeout=1).close()
            assert time.monotonic() < deadline, self.head.log.read_text()
            time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """Free ports of this host."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def ray_cluster(nodes: int = 0) -> Iterator[RayCluster]:
    """A cluster within the block, with `nodes` workers that have joined."""
    directory = Path(tempfile.mkdtemp(prefix="bc", dir="/tmp"))
    cluster = RayCluster(directory)
    try:
        cluster.keep_nodes(nodes)
        if nodes:
            cluster.await_nodes()
        yield cluster
    finally:
        cluster.end()
        shutil.rmtree(directory, ignore_errors=True)


def _all_processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _session_of(pid: int) -> int | None:
    with suppress(OSError):
        *_, fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        state, _parent, _group, session, *_rest = fields.split()
        return None if state == "Z" else int(session)
    return None


def _executable(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode().rpartition("/")[2]
    except OSError:
        return ""
