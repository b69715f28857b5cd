"""What a node of a cluster is asked for its data takes."""

from __future__ import annotations

import subprocess
import sys

ASKED = """
import sys
from balpoe.config import Configuration, ModelConfig
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.required_files import needed_sizes
assert needed_sizes(Configuration(data=DigitsLT(), model=ModelConfig(backbone="resnet8"))) == {}
sys.exit("torch" in sys.modules)
"""


def test_a_source_that_needs_no_download_is_looked_for_without_torch() -> None:
    assert subprocess.run([sys.executable, "-c", ASKED], check=False).returncode == 0
