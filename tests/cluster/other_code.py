"""Another version of balpoe, for a node whose image is old."""

from __future__ import annotations

import shutil
from pathlib import Path

import balpoe


def other_code(directory: Path) -> Path:
    """A folder for PYTHONPATH with another version of balpoe."""
    copy = directory / "other"
    shutil.copytree(Path(balpoe.__file__).parent, copy / "balpoe")
    with (copy / "balpoe/errors.py").open("a") as file:
        file.write("# of another version\n")
    return copy
