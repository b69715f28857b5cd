"""The threshold of the garbage collector in the command line."""

from __future__ import annotations

import subprocess
import sys

SHOWN_AT_THE_END = """
import atexit, gc, sys
atexit.register(lambda: print(gc.get_threshold()[0] > 10_000))
from balpoe.cli.main import main
sys.argv = ["balpoe", "--version"]
main()
"""


def test_what_is_loaded_is_not_looked_through_again_and_again() -> None:
    command = [sys.executable, "-c", SHOWN_AT_THE_END]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "True"
