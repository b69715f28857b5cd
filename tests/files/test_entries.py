"""Study files that name the entries of tables are read without torch, for every entry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STUDY = """
name: s
question: ""
search:
  training.batch_size: {type: int, low: 64, high: 66}
objectives: {val/accuracy: maximize}
budget: {trials: 2}
"""

READ_EVERY_ENTRY = """
import sys

sys.modules["torch"] = None  # importing it raises ImportError

from pathlib import Path

from balpoe.config import entry_tables
from balpoe.config.augmentation import Policy
from balpoe.config.data import DataSource
from balpoe.config.loss import Loss
from balpoe.config.mixing import Mixer
from balpoe.config.model import BackboneFamily
from balpoe.config.sampler import SamplerConfig
from balpoe.config.second_stage import SecondStage
from balpoe.files import load_study

path, study = Path(sys.argv[1]), sys.argv[2]
digits = "data: {name: digits_lt}\\n"
sections = {
    Loss: digits + "loss: {name: %s}",
    Mixer: digits + "mixup: {alpha: 1}\\nmixing: {name: %s}",
    Policy: digits + "training: {augmentation: {policies: [{name: %s}]}}",
    BackboneFamily: digits + "model: {backbone: %s}",
    SecondStage: digits + "second_stage: {name: %s}",
    SamplerConfig: digits + "sampler: {name: %s}",
    DataSource: "data: {name: %s%s}",
}
assert sections.keys() == entry_tables._TABLES.keys()
for base, section in sections.items():
    for name, settings in entry_tables.table_of(base).entries.items():
        chosen = settings.names[0].partition(",")[0] if base is BackboneFamily else name
        if base is DataSource:
            needed = [place for place in ("root", "train", "test") if place in settings.path_fields]
            section = f"data: {{name: %s{''.join(f', {place}: x' for place in needed)}}}"
        path.write_text(study + section % chosen)
        load_study(path)
        print(name)
"""


def test_every_entry_is_read_from_a_study_without_torch(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", READ_EVERY_ENTRY, str(tmp_path / "study.yaml"), STUDY]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    names = set(ended.stdout.split())
    assert names >= {"logit_adjustment", "mixup", "rand_augment", "cifar_resnet", "grid", "folder"}
