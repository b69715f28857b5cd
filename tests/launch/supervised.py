"""A Python script as `balpoe run` runs its driver: `supervised.py SCRIPT ARGUMENTS`."""

from __future__ import annotations

import sys

from balpoe.launch.supervision import supervise

# with the collector that `balpoe` has before the script imports anything
AS_MAIN = """
import runpy, sys
from balpoe.cli.main import collect_garbage_rarely
collect_garbage_rarely()
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

sys.exit(supervise([sys.executable, "-P", "-c", AS_MAIN, *sys.argv[1:]], continuation="balpoe run"))
