"""What a study costs beside its training, against Tune, OptunaSearch and MLflow as they come.

    uv run python -m tests.benchmarks.overhead

Trials do no work: 10 reports of 14 metrics, two trials at a time. Ours keep their full
records (Parquet, result, Optuna, MLflow by the mirror), and their time ends when MLflow holds
everything; stock Tune reports to OptunaSearch on the same kind of storage and to
MLflowLoggerCallback. Every run is a process of its own in an empty folder; the contestants
take turns. A trial's wall time is that from the end of the two trials that began first to
the end of all, divided by the number of the others: the start of Ray, Tune and MLflow is left
out, so that runs of different length compare, and stock's figure may come from fewer trials.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.overhead_figures import Figures

OURS, STOCK, STOCK_REUSING = "ours", "stock", "stock, actors reused"
STORES = ("sqlite", "server")
QUIET = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run` Ray's workers would hang without it
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def run_one(arguments: argparse.Namespace) -> Figures:
    """One run of one contestant. Each imports only what it is made of."""
    with (
        tempfile.TemporaryDirectory() as temporary,
        _tracking_uri(Path(temporary), arguments.store) as uri,
    ):
        folder = Path(temporary)
        if arguments.run == OURS:
            from balpoe.tracking import TrackingStore
            from tests.benchmarks.idle_study import run_our_study

            return run_our_study(folder, TrackingStore(uri), arguments.trials)
        from tests.benchmarks.stock_study import run_stock_study

        return run_stock_study(
            folder, uri, arguments.stock_trials, reuse_actors=arguments.run == STOCK_REUSING
        )


@contextmanager
def _tracking_uri(folder: Path, store: str) -> Iterator[str]:
    if store == "sqlite":
        yield f"sqlite:///{folder / 'mlflow.db'}"
        return
    from tests.tracking.tracking_server import tracking_server

    with tracking_server(folder / "server") as server:
        yield server.uri


def compare(arguments: argparse.Namespace) -> None:
    """All contestants on each store, round by round; then the table."""
    contestants = (STOCK, STOCK_REUSING, OURS) if arguments.reuse else (STOCK, OURS)
    print(
        f"{setting()}; n = {arguments.rounds} rounds, a round has {arguments.trials} trials of "
        f"ours and {arguments.stock_trials} of stock",
        flush=True,
    )
    rows: dict[tuple[str, str], list[Figures]] = {}
    for turn in range(arguments.rounds):
        for store in arguments.stores:
            for name in contestants:
                figures = _run_in_a_process(name, store)
                rows.setdefault((store, name), []).append(figures)
                print(f"round {turn + 1}, {store}, {name}: {figures}", file=sys.stderr, flush=True)
    for (store, name), runs in rows.items():
        print(_row(store, name, runs, rows[store, STOCK]))


def _run_in_a_process(name: str, store: str) -> Figures:
    command = [sys.executable, "-m", __spec__.name, *sys.argv[1:]]
    command += ["--run", name, "--store", store]
    ended = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **QUIET}
    )
    return Figures(**json.loads(ended.stdout.splitlines()[-1]))


def setting() -> str:
    """The machine and the versions."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("ray", "optuna", "mlflow"))
    return (
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f} at the start, Python {platform.python_version()}, "
        f"{libraries}"
    )


def _row(store: str, name: str, runs: list[Figures], stock: list[Figures]) -> str:
    ratios = [
        other.seconds_per_trial / run.seconds_per_trial
        for run, other in zip(runs, stock, strict=True)
    ]
    wall = statistics.median(run.seconds_per_trial for run in runs)
    cpu = statistics.median(run.cpu_seconds_per_trial for run in runs)
    return (
        f"MLflow on {store:6}  {name:20} {1000 * wall:8.1f} ms a trial"
        f"  stock takes x{statistics.median(ratios):.1f} ({min(ratios):.1f}..{max(ratios):.1f})"
        f"  driver's CPU {1000 * cpu:7.1f} ms"
        f"  report to report {statistics.median(run.report_milliseconds for run in runs):7.2f} ms"
        f"  start {statistics.median(run.start_seconds for run in runs):.1f} s"
    )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=200, help="of ours in a run")
    parser.add_argument("--stock-trials", type=int, default=200, help="of stock Tune in a run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    parser.add_argument("--reuse", action="store_true", help="also stock Tune with reuse_actors")
    parser.add_argument("--run", choices=(OURS, STOCK, STOCK_REUSING), help=argparse.SUPPRESS)
    parser.add_argument("--store", choices=STORES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(asdict(run_one(arguments))))
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
