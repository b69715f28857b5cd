"""`balpoe run --json`, read by a program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BALPOE = str(Path(sys.executable).parent / "balpoe")
STUDY = """
name: tiny
data: {name: digits_lt}
model: {backbone: resnet8}
training: {epochs: 2, batch_size: 64}
search: {mixup.alpha: {type: float, low: 0.0, high: 1.0}}
objectives: {val/accuracy: maximize}
budget: {trials: 2}
"""


@pytest.mark.slow
def test_a_study_is_followed_from_its_launch_to_its_front(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(STUDY)
    command = [BALPOE, "run", "tiny.yaml", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    events = [line["event"] for line in lines]
    assert (events[0], events[-1]) == ("study_launched", "study_ended")
    complete = {
        line["identity"]["number"]: line["objectives"]["val/accuracy"]
        for line in lines
        if line["event"] == "trial_ended" and line["state"] == "COMPLETE"
    }
    for number in complete:
        epochs = [
            line["epoch"]
            for line in lines
            if line["event"] == "epoch_reported" and line["identity"]["number"] == number
        ]
        assert epochs == [1, 2]
    ended = lines[-1]
    assert ended["status"] == 0
    assert ended["trials"]["COMPLETE"] == len(complete)
    best = ended["front"][0]
    assert best["objectives"]["val/accuracy"]["mean"] == max(complete.values())
