"""A Python script as `balpoe run` runs its driver: `supervised.py SCRIPT ARGUMENTS`."""

from __future__ import annotations

import sys

from balpoe.launch.supervision import supervise

sys.exit(supervise([sys.executable, *sys.argv[1:]], continuation="balpoe run"))
