"""How the overhead of a study grows with the trials that it holds.

    uv run python -m tests.benchmarks.overhead_growth

One study of idle trials is continued launch by launch, each in a process of its own, with
MLflow on SQLite. At each size: the median time of the ledger's ask + tell (on a copy of the
storage), and the wall time per trial of a launch that continues the study by some trials,
from the end of its first two to the moment when MLflow holds everything. The launch that
fills the study up between two sizes says what a trial costs on average in a long launch.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.idle_trial import OBJECTIVES, idle_metrics
from tests.benchmarks.overhead import QUIET, setting
from tests.benchmarks.overhead_figures import Figures


def ask_and_tell(folder: Path, repeats: int) -> float:
    """The median seconds of proposing a trial and entering its end, in a copy of the study."""
    from balpoe.study.records.ledger import Ledger
    from balpoe.study.trials.directory import StudyDirectory
    from tests.benchmarks.idle_study import idle_spec

    spec = idle_spec(1)
    with tempfile.TemporaryDirectory() as temporary:
        copy = StudyDirectory.of(Path(temporary), spec.name)
        copy.create()
        shutil.copy(StudyDirectory.of(folder, spec.name).database, copy.database)
        ledger = Ledger(spec, copy)
        ledger.begin_launch()
        seconds = []
        for _ in range(1 + repeats):
            started = time.perf_counter()
            proposal = ledger.ask()
            metrics = idle_metrics(1, proposal.parameters)
            ledger.complete(proposal.identity, {name: metrics[name] for name in OBJECTIVES})
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])  # the first reads all trials from the disk


def launch(folder: Path, trials: int) -> Figures:
    """Continue the study in `folder` by `trials`."""
    from balpoe.tracking import local_store
    from tests.benchmarks.idle_study import run_our_study

    return run_our_study(folder, local_store(folder), trials)


def measure(arguments: argparse.Namespace) -> None:
    """Fill the study up to each size in turn, and measure there."""
    print(f"{setting()}; {arguments.repeats} asks, {arguments.trials} trials a launch")
    stored = 0
    with tempfile.TemporaryDirectory() as folder:
        for size in sorted(arguments.sizes):
            fill = _in_a_process("launch", folder, size - stored)
            asked = _in_a_process("ask", folder, arguments.repeats)
            launched = _in_a_process("launch", folder, arguments.trials)
            stored = size + arguments.trials
            print(
                f"{size:5} trials stored  ask + tell {1000 * asked['seconds']:6.1f} ms"
                f"  {1000 * launched['seconds_per_trial']:6.1f} ms a trial"
                f"  (launch up to there: {1000 * fill['seconds_per_trial']:.1f} ms a trial)",
                flush=True,
            )


def _in_a_process(what: str, folder: str, count: int) -> dict[str, float]:
    command = [sys.executable, "-m", __spec__.name, *("--run", what), *("--folder", folder)]
    ended = subprocess.run(
        [*command, "--count", str(count)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **QUIET},
    )
    figures: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 2000])
    parser.add_argument("--trials", type=int, default=40, help="of a measured launch")
    parser.add_argument("--repeats", type=int, default=20, help="of ask + tell")
    parser.add_argument("--run", choices=("ask", "launch"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run == "ask":
        print(json.dumps({"seconds": ask_and_tell(arguments.folder, arguments.count)}))
    elif arguments.run == "launch":
        print(json.dumps(asdict(launch(arguments.folder, arguments.count))))
    else:
        measure(arguments)


if __name__ == "__main__":
    main()
