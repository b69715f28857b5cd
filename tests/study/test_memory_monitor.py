"""Ray's own memory monitor, set so that it ends every worker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("memory_driver.py")


@pytest.mark.slow
def test_a_worker_ended_for_memory_costs_one_more_attempt_alone_and_not_the_study(
    tmp_path: Path,
) -> None:
    ended = subprocess.run(
        [sys.executable, str(DRIVER), str(tmp_path)],
        env={
            **os.environ,
            "RAY_memory_usage_threshold": "0.01",
            "RAY_memory_monitor_refresh_ms": "100",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=280,
    )
    outcome, *trials = ended.stdout.strip().splitlines()
    assert outcome == "LaunchEnd(signal=None, failing_alike=None)"
    assert len(trials) == 2
    for trial in trials:
        assert trial.startswith("FAIL 1 resource Ray's memory monitor ended the worker: ")
