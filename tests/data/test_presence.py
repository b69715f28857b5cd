"""The check of required files on a node imports no torch."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from balpoe.config import Configuration, ModelConfig
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.required_files import needed_sizes
assert needed_sizes(Configuration(data=DigitsLT(), model=ModelConfig(backbone="resnet8"))) == {}
sys.exit("torch" in sys.modules)
"""


def test_a_source_that_needs_no_download_is_looked_for_without_torch() -> None:
    assert subprocess.run([sys.executable, "-c", PROGRAM], check=False).returncode == 0
