"""The life of a process that launches studies, with Python's collector and with it spared.

`python -m tests.benchmarks.start`
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys

LOADED = "import balpoe.launch.run"
WAYS = {
    "Python's collector": LOADED,
    "spared": "from balpoe.cli.main import collect_garbage_rarely; collect_garbage_rarely(); "
    + LOADED,
}


def cpu_seconds(program: str) -> float:
    """The processor's time that a Python process takes for a program, its end included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """One after the other, so many times; the first round fills the disk's cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    rounds = [
        {name: cpu_seconds(program) for name, program in WAYS.items()}
        for _ in range(parser.parse_args().repetitions + 1)
    ][1:]
    for name in WAYS:
        seconds = [each[name] for each in rounds]
        low, high = min(seconds), max(seconds)
        print(f"{name}: {statistics.median(seconds):.2f} s ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
